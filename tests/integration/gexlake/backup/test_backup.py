"""Backups of a broker and a data folder, without the services: what is kept, and what is refused."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from gexlake.api import services
from gexlake.api.rpc import Refused, serve
from gexlake.api.services import LakeCounts, SnapshotRequest, SnapshotResponse
from gexlake.backup.create import create
from gexlake.backup.errors import BackupError
from gexlake.backup.manifest import Manifest
from gexlake.backup.restore import restore, verify
from gexlake.backup.settings import BackupSettings
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from simulator.nats_server import NatsServer

COUNTS = LakeCounts(partitions=1, snapshots=2, strike_rows=3, jobs=4, records=5)
PARQUET = "parquet/gexbot/NQ_NDX/gex_zero/20251114.strikes.parquet"
CHAINS = "gex/SPX/20251114/snapshots.parquet"
ARCHIVE = "archive/jobs/2025-11.parquet"
STAGED = "source/gexbot/NQ_NDX/gex_zero/2025-11-14_NQ_NDX_classic_gex_zero.json"


@pytest.fixture
def backup_settings(nats_server: NatsServer, tmp_path: Path) -> BackupSettings:
    data = tmp_path / "data"
    write(data / "gex_data.db", b"the database of now")
    write(data / STAGED, b"[]")
    write(data / "source/gexbot/NQ_NDX/gex_zero/.half.part", b"[")
    write(data / "secrets/urls/keys", b"newest\noldest\n")
    return BackupSettings(nats_url=nats_server.url, data_dir=data)


@pytest.fixture
async def importer(bus: Bus, backup_settings: BackupSettings) -> AsyncIterator[None]:
    """Serve a snapshot as the importer does."""

    async def snapshot(_request: SnapshotRequest) -> SnapshotResponse:
        folder = backup_settings.data_dir / "backups/1"
        write(folder / "gex_data.db", b"the copy of the database")
        write(folder / PARQUET, b"PAR1")
        return SnapshotResponse(folder="backups/1", counts=COUNTS)

    async with announce_service(bus, "importer", "stands in") as service:
        await serve(service, services.SNAPSHOT, snapshot, refusal=lambda error: Refused(500, str(error)))
        yield


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def backed_up(settings: BackupSettings, folder: Path) -> Manifest:
    return await create(settings, folder, report=lambda _line: None)


async def restored(settings: BackupSettings, folder: Path, *, replace: bool = False) -> None:
    await restore(settings, folder, replace=replace, report=lambda _line: None)


@pytest.mark.usefixtures("importer")
async def test_a_backup_has_the_snapshot_the_staged_files_the_keys_and_all_streams(
    backup_settings: BackupSettings, tmp_path: Path
) -> None:
    manifest = await backed_up(backup_settings, tmp_path / "backup")
    assert verify(tmp_path / "backup") == manifest
    assert manifest.database == COUNTS
    paths = {file.path for file in manifest.files}
    assert {"gex_data.db", PARQUET, STAGED, "secrets/urls/keys", "streams/KV_RULES.tar.s2"} <= paths
    assert not any("half" in path for path in paths)
    assert (tmp_path / "backup/gex_data.db").read_bytes() == b"the copy of the database"
    assert not (backup_settings.data_dir / "backups/1").exists()
    assert {stream.name for stream in manifest.streams} >= {"JOBS", "EVENTS", "DEAD", "SOURCES", "KV_RULES"}
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


async def test_streams_come_back_with_their_sequences_consumers_and_buckets(
    bus: Bus, backup_settings: BackupSettings, tmp_path: Path
) -> None:
    rules = await bus.js.key_value("RULES")
    await rules.put("one", b"1")
    for number in range(5):
        await bus.js.publish("gex.dead.x", str(number).encode() * 300_000)
    await bus.js.delete_msg("DEAD", 2)
    await bus.js.add_consumer("DEAD", ConsumerConfig(durable_name="reader", ack_policy=AckPolicy.EXPLICIT))
    reader = await bus.js.pull_subscribe_bind("reader", "DEAD")
    (first,) = await reader.fetch(1)
    await first.ack_sync()

    async def snapshot(_request: SnapshotRequest) -> SnapshotResponse:
        write(backup_settings.data_dir / "backups/1/gex_data.db", b"copy")
        return SnapshotResponse(folder="backups/1", counts=COUNTS)

    async with announce_service(bus, "importer", "stands in") as service:
        await serve(service, services.SNAPSHOT, snapshot, refusal=lambda error: Refused(500, str(error)))
        await backed_up(backup_settings, tmp_path / "backup")
    await bus.js.delete_stream("DEAD")
    await bus.js.delete_key_value("RULES")
    await bus.js.publish("gex.event.job.later.x", b"after the backup")
    await restored(backup_settings, tmp_path / "backup", replace=True)
    state = (await bus.js.stream_info("DEAD")).state
    assert (state.messages, state.first_seq, state.last_seq) == (4, 1, 5)
    assert (await bus.js.get_msg("DEAD", 5)).data == b"4" * 300_000
    assert (await bus.js.consumer_info("DEAD", "reader")).num_pending == 3
    assert (await (await bus.js.key_value("RULES")).get("one")).value == b"1"
    assert (await bus.js.stream_info("EVENTS")).state.messages == 0


@pytest.fixture
async def saved(bus: Bus, backup_settings: BackupSettings, tmp_path: Path) -> Path:
    """Return a backup; no service runs any more."""

    async def snapshot(_request: SnapshotRequest) -> SnapshotResponse:
        write(backup_settings.data_dir / "backups/1/gex_data.db", b"copy")
        write(backup_settings.data_dir / "backups/1" / PARQUET, b"PAR1")
        write(backup_settings.data_dir / "backups/1" / CHAINS, b"PAR1")
        write(backup_settings.data_dir / "backups/1" / ARCHIVE, b"PAR1")
        return SnapshotResponse(folder="backups/1", counts=COUNTS)

    async with announce_service(bus, "importer", "stands in") as service:
        await serve(service, services.SNAPSHOT, snapshot, refusal=lambda error: Refused(500, str(error)))
        await backed_up(backup_settings, tmp_path / "backup")
    return tmp_path / "backup"


async def test_what_a_restore_replaces_is_renamed_and_keys_in_use_stay_the_first(
    backup_settings: BackupSettings, saved: Path
) -> None:
    data = backup_settings.data_dir
    write(data / "gex_data.db.wal", b"log")
    write(data / "parquet/gexbot/SPX/gex_zero/20250101.strikes.parquet", b"newer")
    write(data / "gex/SPX/20250101/snapshots.parquet", b"newer")
    write(data / "archive/jobs/2025-12.parquet", b"newer")
    write(data / "secrets/urls/keys", b"of this machine\noldest\n")
    await restored(backup_settings, saved, replace=True)
    assert (data / "gex_data.db").read_bytes() == b"copy"
    assert [path.read_bytes() for path in data.glob("gex_data.db.before-*")] == [b"the database of now"]
    assert not (data / "gex_data.db.wal").exists()
    assert [str(path.relative_to(data)) for path in (data / "parquet/gexbot").rglob("*.parquet")] == [PARQUET]
    assert len(list((data / "parquet").glob("gexbot.before-*"))) == 1
    assert [str(path.relative_to(data)) for path in (data / "gex").rglob("*.parquet")] == [CHAINS]
    assert len(list(data.glob("gex.before-*"))) == 1
    assert [str(path.relative_to(data)) for path in (data / "archive/jobs").iterdir()] == [ARCHIVE]
    assert len(list((data / "archive").glob("jobs.before-*"))) == 1
    assert (data / "secrets/urls/keys").read_text() == "of this machine\noldest\nnewest\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
async def test_restored_files_belong_to_the_owner_of_the_data_folder(
    backup_settings: BackupSettings, saved: Path, tmp_path: Path
) -> None:
    data = tmp_path / "volume"
    data.mkdir()
    os.chown(data, 10001, 10001)
    settings = backup_settings.model_copy(update={"data_dir": data})
    await restored(settings, saved)
    owners = {path: path.stat().st_uid for path in data.rglob("*")}
    assert data / PARQUET in owners
    assert {str(path) for path, owner in owners.items() if owner != 10001} == set()


async def test_a_restore_is_refused_over_data_and_beside_services(
    bus: Bus, backup_settings: BackupSettings, saved: Path
) -> None:
    with pytest.raises(BackupError, match=r"gex_data\.db exists: add --replace"):
        await restored(backup_settings, saved)
    async with announce_service(bus, "janitor", "stands in"):
        with pytest.raises(BackupError, match="janitor must be stopped"):
            await restored(backup_settings, saved, replace=True)
    assert backup_settings.database.read_bytes() == b"the database of now"


@pytest.mark.parametrize("damage", [b"another", None])
async def test_a_damaged_backup_is_refused_before_anything_changes(
    bus: Bus, backup_settings: BackupSettings, saved: Path, damage: bytes | None
) -> None:
    await bus.js.publish("gex.dead.x", b"1")
    if damage is None:
        (saved / PARQUET).unlink()
    else:
        (saved / PARQUET).write_bytes(damage)
    with pytest.raises(BackupError, match=r"20251114\.strikes\.parquet"):
        await restored(backup_settings, saved, replace=True)
    assert backup_settings.database.read_bytes() == b"the database of now"
    assert (await bus.js.stream_info("DEAD")).state.messages == 1


async def test_a_backup_is_refused_into_a_folder_in_use_and_without_the_importer(
    bus: Bus, backup_settings: BackupSettings, saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="is not empty"):
        await backed_up(backup_settings, saved)
    with pytest.raises(BackupError, match="the importer does not answer"):
        await backed_up(backup_settings, tmp_path / "other")
    with pytest.raises(BackupError, match="no complete backup"):
        verify(tmp_path / "other")
    assert bus.is_connected


async def test_without_a_broker_both_say_where_it_was_looked_for(
    nats_server: NatsServer, backup_settings: BackupSettings, saved: Path, tmp_path: Path
) -> None:
    nats_server.stop()
    with pytest.raises(BackupError, match="NATS does not answer at nats://"):
        await backed_up(backup_settings, tmp_path / "other")
    with pytest.raises(BackupError, match="it must run, also for a restore"):
        await restored(backup_settings, saved, replace=True)
