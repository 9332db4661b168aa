"""What the importer finds at start after it died, and how it keeps others off its file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from functools import partial as partial_of
from pathlib import Path
from typing import cast

import duckdb
import pytest

from gexlake.api.jobs import Stage, Status
from services.importer.errors import ImportTimedOut, StorageTrouble
from services.importer.imports.handler import import_staged
from services.importer.imports.recovery import finish_committed, sweep
from services.importer.interruption import Interruption
from services.importer.lake.database import Lake
from services.importer.lake.parquet import sha256_of
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.keeper import record
from services.importer.limits import ImportLimits
from shared.bus.connection import Bus
from shared.bus.messages import ImportFile, JobFailed, PartitionImported
from shared.errors import BrokerUnavailable, CannotStart
from shared.job_states import JobStates
from shared.paths import partial_path
from tests.support.importer.full_disk import own_files_limited
from tests.support.importer.lake import LakeOnDisk, a_record, records
from tests.support.repository import ROOT
from tests.support.values import NOON, a_job


def died_before_the_rename(lake: LakeOnDisk, command: ImportFile | None = None) -> Path:
    """Leave the lake as a process that dies after the commit does: new rows, old Parquet, ``committed``."""
    lake.import_staged(command or lake.stage(records(5)))
    (parquet,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    parquet.write_bytes(b"the old file")
    with lake.lake.writing() as connection:
        connection.execute("UPDATE partitions SET published = false")
        connection.execute("UPDATE gex_history_queue SET status = 'committed'")
    return parquet


class RecordingBus:
    """A bus that keeps what is announced; out of reach, it refuses."""

    def __init__(self, *, reachable: bool = True) -> None:
        self.events: list[PartitionImported] = []
        self._reachable = reachable

    def clock(self) -> datetime:
        return NOON

    async def publish_event(self, event: PartitionImported) -> None:
        if not self._reachable:
            raise BrokerUnavailable("publish")
        self.events.append(event)


def finish(lake: LakeOnDisk) -> list[PartitionImported]:
    bus = RecordingBus()
    asyncio.run(finish_committed(cast("Bus", bus), lake.lake))
    return bus.events


def test_a_finished_partition_has_its_strikes_in_the_order_of_the_file(lake: LakeOnDisk) -> None:
    """DuckDB's sort is not stable: sorted by time alone, strikes of a second change places."""
    strikes = [[24_000 + place, place, 0] for place in range(50)]
    document = [a_record(second, strikes=strikes) for second in range(3_000)]
    parquet = died_before_the_rename(lake, lake.stage(document))
    finish(lake)
    (steps,) = lake.rows(
        "SELECT count(*) FILTER (WHERE gamma <> (previous + 1) % 50) FROM (SELECT gamma, lag(gamma) "
        f"OVER (ORDER BY file_row_number) AS previous FROM read_parquet('{parquet}', file_row_number = true))"
    )
    assert steps == (0,)


def test_an_event_that_could_not_be_published_is_published_the_next_time(lake: LakeOnDisk) -> None:
    died_before_the_rename(lake)
    with pytest.raises(BrokerUnavailable):
        asyncio.run(finish_committed(cast("Bus", RecordingBus(reachable=False)), lake.lake))
    (event,) = finish(lake)
    assert event.snapshots == 5
    assert lake.differences() == 0


def test_a_permanently_failed_import_is_completed_once_its_file_is_in_place(lake: LakeOnDisk) -> None:
    died_before_the_rename(lake)
    states = JobStates()
    failed = JobFailed(job=a_job(), stage=Stage.IMPORT, failures=3, final=True, error="disk full")
    record(lake.lake, [states.apply(failed, NOON)])
    assert lake.rows("SELECT status, records_processed FROM gex_history_queue") == [("failed", 5)]
    (event,) = finish(lake)
    record(lake.lake, [states.apply(event, NOON)])
    ledger = lake.rows("SELECT status, last_error, records_processed FROM gex_history_queue")
    assert ledger == [("completed", None, 5)]
    assert states.by_id[a_job().job_id].status is Status.COMPLETED


def test_closing_beside_short_readers_is_quiet(lake: LakeOnDisk) -> None:
    def read() -> None:
        while True:
            try:
                with lake.lake.reading() as connection:
                    connection.execute("SELECT 1")
            except (StorageTrouble, duckdb.InterruptException):
                return

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(20):
        lake.lake._disconnect()
    lake.lake.close()
    for reader in readers:
        reader.join(10)
    assert not any(reader.is_alive() for reader in readers)


def test_what_was_committed_only_is_finished(lake: LakeOnDisk) -> None:
    parquet = died_before_the_rename(lake)
    hidden = partial_path(parquet, "someone")
    hidden.write_bytes(b"half a file")
    lake.reopen()
    sweep(lake.lake)
    (event,) = finish(lake)
    assert event.parquet_sha256 == sha256_of(parquet)
    assert lake.rows("SELECT status, parquet_checksum FROM gex_history_queue") == [
        ("completed", event.parquet_sha256)
    ]
    assert lake.differences() == 0
    assert lake.leftovers() == []
    assert finish(lake) == []


def test_what_a_killed_import_left_in_the_scratch_folder_is_swept_and_duckdbs_files_are_not(
    lake: LakeOnDisk,
) -> None:
    scratch = lake.settings.paths.scratch
    killed = scratch / "import-k1lled"
    killed.mkdir()
    (killed / "piece0.json").write_bytes(b"[")
    spilled = scratch / "duckdb_temp_7_0_storage_DEFAULT-0.tmp"
    spilled.touch()
    sweep(lake.lake)
    assert list(scratch.iterdir()) == [spilled]


def test_a_redelivered_import_finds_its_work_done(lake: LakeOnDisk) -> None:
    command = lake.stage(records(5))
    first = lake.import_staged(command)
    written = lake.rows("SELECT updated_at FROM partitions")
    lake.settings.paths.staged_from_relative(command.staged_path).unlink()
    assert lake.import_staged(command) == first
    assert isinstance(first, PartitionImported)
    assert lake.rows("SELECT updated_at FROM partitions") == written


def test_a_failed_parquet_write_leaves_the_old_partition(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(5)))
    folder = next(lake.settings.paths.parquet_root.rglob("*.parquet")).parent
    blocked = partial_path(folder / "20251114.strikes.parquet", str(a_job().job_id))
    blocked.mkdir()  # fails like a full disk: COPY cannot write there
    with pytest.raises((StorageTrouble, OSError)):
        lake.import_staged(lake.stage(records(6), a_job(generation=2)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(5,)]
    blocked.rmdir()
    lake.import_staged(lake.stage(records(6), a_job(generation=2)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(6,)]
    assert lake.differences() == 0


def test_a_second_importer_on_the_same_file_ends_with_one_line(
    lake: LakeOnDisk,
) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "services.importer"],
        env={"GEXLAKE_DATA_DIR": str(lake.settings.data_dir), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    (message,) = second.stderr.splitlines()
    assert "another process holds" in message
    assert "only one importer" in message
    lake.import_staged(lake.stage(records(5)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(5,)]


def test_a_lake_of_a_newer_version_is_left_alone(lake: LakeOnDisk) -> None:
    with lake.lake.writing() as connection:
        connection.execute("INSERT INTO schema_migrations VALUES ('9999_future.sql', now())")
    lake.close()
    with pytest.raises(CannotStart, match=r"9999_future\.sql"):
        Lake.open(lake.settings)
    with duckdb.connect(str(lake.settings.paths.database)) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE name = '9999_future.sql'")
    lake.reopen()


def test_opening_again_applies_no_migration_twice_and_keeps_the_storage_version(lake: LakeOnDisk) -> None:
    before = lake.rows("FROM schema_migrations")
    lake.reopen()
    assert lake.rows("FROM schema_migrations") == before
    assert lake.rows("SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal") == [
        ("v1.4.0+",)
    ]


def test_a_partition_that_cannot_be_published_holds_up_no_other_job(lake: LakeOnDisk) -> None:
    parquet = died_before_the_rename(lake)
    parquet.unlink()
    parquet.mkdir()  # nothing can be renamed over a folder
    assert finish(lake) == []
    with pytest.raises(StorageTrouble, match="putting the Parquet file in place"):
        lake.import_staged(lake.stage(records(5)))
    lake.import_staged(lake.stage(records(4), a_job(endpoint="gex_full")))
    parquet.rmdir()
    (event,) = finish(lake)
    assert event.snapshots == 5
    assert lake.differences() == 0


def test_a_redelivered_import_leaves_what_another_job_has_put_in_its_place(lake: LakeOnDisk) -> None:
    first = lake.stage(records(5))
    event = lake.import_staged(first)
    other = a_job(base_url="https://fallback.test/2025-11-14_NQ_NDX_classic_gex_zero_2.json")
    lake.import_staged(lake.stage(records(6), other))
    assert lake.import_staged(first) == event
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(6,)]


def test_a_generation_that_counts_from_one_again_is_no_redelivery(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(5)))
    forgotten = a_job(requested_at=NOON + timedelta(days=60))
    lake.import_staged(lake.stage(records(6), forgotten))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(6,)]


def test_an_invalid_instance_is_reopened_although_a_reader_holds_it(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(5)))
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    ended: list[Exception] = []

    def read() -> None:
        try:
            with lake.lake.reading() as connection:
                started.set()
                connection.execute(slow)
        except duckdb.Error as error:
            ended.append(error)

    started = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    started.wait(10)
    with pytest.raises(StorageTrouble), lake.lake.writing():
        raise duckdb.FatalException("the disk was full at a checkpoint")
    reader.join(10)
    assert isinstance(ended[0], duckdb.InterruptException)
    lake.import_staged(lake.stage(records(6), a_job(generation=2)))
    assert lake.differences() == 0


def test_a_checkpoint_that_finds_the_disk_full_loses_nothing(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(500)))
    before = lake.rows("FROM gex_strikes")
    with own_files_limited(64 * 1024):
        with pytest.raises(StorageTrouble, match="checkpoint"), lake.lake.writing() as connection:
            connection.execute("CHECKPOINT")
        assert lake.rows("FROM gex_strikes") == before
        with pytest.raises(StorageTrouble), lake.lake.writing() as connection:
            connection.execute("CHECKPOINT")
    assert lake.rows("FROM gex_strikes") == before
    lake.import_staged(lake.stage(records(501), a_job(generation=2)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(501,)]
    assert lake.differences() == 0


def test_closing_ends_the_queries_that_run(lake: LakeOnDisk) -> None:
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    started = threading.Event()

    def read() -> None:
        with lake.lake.reading() as connection:
            started.set()
            with pytest.raises(duckdb.InterruptException):
                connection.execute(slow)

    reader = threading.Thread(target=read)
    reader.start()
    started.wait(10)
    lake.lake.close()
    reader.join(10)
    assert not reader.is_alive()
    with pytest.raises(StorageTrouble, match="stopping"), lake.lake.reading():
        pass


async def test_an_import_that_takes_too_long_is_interrupted_and_leaves_nothing(lake: LakeOnDisk) -> None:
    work = partial_of(
        import_staged, lake.stage(records(5)), lake.lake, clock=lambda: NOON, limits=ImportLimits()
    )
    writer = WriterThread()

    def slow(interruption: Interruption) -> object:
        with lake.lake.writing(interruption) as connection:
            connection.execute(
                "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range = -b.range"
            )
        return work(interruption)

    with pytest.raises(ImportTimedOut, match=r"longer than 0\.3 s"):
        await writer.run_within(slow, 0.3)
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(0,)]
    assert isinstance(await writer.run_within(work, 30), PartitionImported)
