"""A full disk is distinguished from other failures, in every step of an import."""

from __future__ import annotations

import asyncio
import gzip
from datetime import datetime
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any, cast
from uuid import UUID

import duckdb
import pytest

from services.importer.errors import DiskFull, ImportTimedOut, StorageTrouble
from services.importer.imports import replace
from services.importer.imports.handler import import_file
from services.importer.imports.plain_file import plain_file
from services.importer.imports.recovery import finish_committed
from services.importer.interruption import Interruption
from services.importer.lake.database import Lake
from services.importer.lake.partition_tables import insert
from services.importer.lake.writer_thread import WriterThread
from services.importer.reader.source import OpenFile
from services.importer.settings import ImporterSettings
from shared.bus.connection import Bus
from shared.bus.messages import Event, ImportFile, PartitionImported
from shared.errors import BrokerUnavailable, CannotStart, Deferred
from tests.support.importer.full_disk import own_files_limited
from tests.support.importer.lake import LakeOnDisk, a_record, records
from tests.support.values import NOON, a_job

ROOM_BYTES = 64 * 1024
ROWS_OF_TWO_GROUPS = 260_000
"""So many are written to the database before they are committed."""
A_ROW = [[25_000, -228.01, -86.9, [-240.55, -243.15, 0, -221.27, -220.12]]]


class Answering:
    """A bus without events that records those that are published; unreachable, it refuses to."""

    def __init__(self, *, reachable: bool = True) -> None:
        self.events: list[Event] = []
        self._reachable = reachable

    def clock(self) -> datetime:
        return NOON

    async def publish_event(self, event: Event) -> None:
        self.events.append(event)

    async def last_event(self, _kind: type[Event], _job_id: UUID) -> None:
        if not self._reachable:
            raise BrokerUnavailable("read EVENTS")


def noise(count: int) -> list[dict[str, Any]]:
    """Return records that no compression makes much smaller."""
    random = Random(7)
    return [
        a_record(second, strikes=[[25_000 + place, random.random(), random.random()] for place in range(20)])
        for second in range(count)
    ]


async def import_into(lake: LakeOnDisk, bus: Answering, command: ImportFile, timeout_s: float = 30) -> None:
    await import_file(
        command,
        bus=cast("Bus", bus),
        lake=lake.lake,
        writer=WriterThread(),
        limits=lake.settings.limits,
        timeout_s=timeout_s,
    )


def committed_without_its_file(lake: LakeOnDisk) -> ImportFile:
    """Leave the lake as a process that dies before the rename does, and return its command."""
    command = lake.stage(noise(300))
    lake.import_staged(command)
    (parquet,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    assert parquet.stat().st_size > ROOM_BYTES
    parquet.unlink()
    with lake.lake.writing() as connection:
        connection.execute("UPDATE partitions SET published = false")
        connection.execute("CHECKPOINT")
    return command


async def test_an_import_that_finds_the_disk_full_says_so_and_changes_nothing(lake: LakeOnDisk) -> None:
    await import_into(lake, Answering(), lake.stage(records(5)))
    larger = lake.stage(noise(300), a_job(generation=2))
    with own_files_limited(ROOM_BYTES), pytest.raises(DiskFull, match="free some on the disk") as full:
        await import_into(lake, Answering(), larger)
    assert isinstance(full.value, Deferred)
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(5,)]
    await import_into(lake, Answering(), larger)
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(300,)]
    assert lake.differences() == 0


async def test_an_insert_that_finds_the_disk_full_says_so_and_leaves_duckdb_its_memory(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = lake.rows("SELECT current_setting('memory_limit')")

    def insert_without_space(*arguments: Any) -> None:
        with own_files_limited(ROOM_BYTES):
            insert(*arguments)

    monkeypatch.setattr(replace, "insert", insert_without_space)
    many = [a_record(second, strikes=A_ROW * 200) for second in range(ROWS_OF_TWO_GROUPS // 200)]
    with pytest.raises(DiskFull):
        await import_into(lake, Answering(), lake.stage(many))
    assert lake.rows("SELECT current_setting('memory_limit')") == memory
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(0,)]


async def test_an_insert_that_takes_too_long_says_so_and_leaves_duckdb_its_memory(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = lake.rows("SELECT current_setting('memory_limit')")

    def insert_for_ever(connection: duckdb.DuckDBPyConnection, *_: Any) -> None:
        connection.execute("SELECT sum(hash(a + b)) FROM range(10_000_000) l(a), range(10_000_000) r(b)")

    monkeypatch.setattr(replace, "insert", insert_for_ever)
    with pytest.raises(ImportTimedOut):
        await import_into(lake, Answering(), lake.stage(records(5)), timeout_s=0.5)
    assert lake.rows("SELECT current_setting('memory_limit')") == memory


async def test_a_committed_import_whose_file_finds_no_space_is_put_off_and_holds_up_no_other(
    lake: LakeOnDisk,
) -> None:
    command = committed_without_its_file(lake)
    other = lake.stage(records(4), a_job(endpoint="gex_full"))
    with own_files_limited(ROOM_BYTES):
        without_space = await finish_committed(cast("Bus", Answering()), lake.lake)
        with pytest.raises(DiskFull):
            await import_into(lake, Answering(), command)
    assert list(without_space) == [(str(a_job().job_id), 1)]
    lake.import_staged(other)
    bus = Answering()
    await import_into(lake, bus, command)
    assert {event.snapshots for event in bus.events if isinstance(event, PartitionImported)} == {300}
    assert lake.differences() == 0


def test_a_lake_that_finds_the_disk_full_when_it_is_made_says_so_in_one_line_and_lets_go_of_the_file(
    tmp_path: Path,
) -> None:
    settings = ImporterSettings(data_dir=tmp_path / "data")
    with own_files_limited(ROOM_BYTES // 2), pytest.raises(CannotStart) as refused:
        Lake.open(settings)
    assert "gex_data.db cannot be brought up to date: " in str(refused.value)
    assert "File too large (GEXLAKE_DATA_DIR)" in str(refused.value)
    assert "\n" not in str(refused.value)
    duckdb.connect(str(settings.paths.database), read_only=True).close()
    Lake.open(settings).close()


def test_other_trouble_of_the_disk_counts_as_an_attempt(lake: LakeOnDisk) -> None:
    with pytest.raises(StorageTrouble) as trouble, lake.lake.writing():
        raise duckdb.IOException("Could not write file: Input/output error")
    assert not isinstance(trouble.value, Deferred)


async def test_the_trouble_with_the_broker_reaches_the_worker_as_what_it_is(lake: LakeOnDisk) -> None:
    with pytest.raises(BrokerUnavailable):
        await import_into(lake, Answering(reachable=False), lake.stage(records(5)))


async def test_an_import_recreates_a_removed_scratch_folder(lake: LakeOnDisk) -> None:
    await asyncio.to_thread(rmtree, lake.settings.paths.scratch)
    await import_into(lake, Answering(), lake.stage(records(5)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(5,)]
    assert list(lake.settings.paths.scratch.iterdir()) == []


def test_what_is_unpacked_onto_a_full_disk_is_not_cut_short(tmp_path: Path) -> None:
    packed = tmp_path / "day.json.gz"
    packed.write_bytes(gzip.compress(bytes(3 << 19)))
    with own_files_limited(5 << 18), pytest.raises(OSError, match="File too large"):
        plain_file(OpenFile(packed.name, packed), tmp_path, Interruption(), 1 << 30)
