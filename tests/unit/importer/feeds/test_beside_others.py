"""Live batches beside imports, backups and readers of the same lake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import duckdb
import pytest

from services.importer.backup.snapshot import take_snapshot
from services.importer.errors import DiskFull, StorageTrouble
from services.importer.feeds import store
from shared.bus.feeds.live_messages import Strike
from tests.support.importer.feeding import FeedOnLake, a_snapshot, a_webhook
from tests.support.importer.full_disk import own_files_limited
from tests.support.importer.lake import LakeOnDisk, a_record
from tests.support.values import a_job

WITHIN_S = 30
ROOM_BYTES = 64 * 1024


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path / "data")
    yield lake
    lake.close()


@pytest.fixture
def feed(lake: LakeOnDisk) -> FeedOnLake:
    return FeedOnLake(lake.lake)


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_a_batch_waits_for_an_import_of_its_partition_alone(
    lake: LakeOnDisk, feed: FeedOnLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "held"
    command = lake.stage([a_record(0), a_record(1)], a_job())
    monkeypatch.setenv("GEXLAKE_FAILPOINT", f"importer.loaded=hold:{held}")
    importing = started(lambda: lake.import_staged(command))
    until(held.exists)
    feed.put(a_snapshot(0, ticker="SPX"), a_webhook())
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(1,)]
    waiting = started(lambda: feed.put(a_snapshot(0), a_snapshot(9)))
    waiting.join(0.5)
    held.unlink()
    for thread in (importing, waiting):
        thread.join(WITHIN_S)
    rows = lake.rows("SELECT ticker, source, count(*) FROM gex_snapshots GROUP BY ALL ORDER BY ALL")
    assert rows == [("NQ_NDX", "history", 2), ("NQ_NDX", "live", 1), ("SPX", "live", 1)]


def test_a_backup_has_whole_batches(lake: LakeOnDisk, feed: FeedOnLake) -> None:
    stop = threading.Event()

    def put() -> None:
        second = 0
        while not stop.is_set():
            feed.put(a_snapshot(second), a_webhook(second))
            second += 1

    putting = started(put)
    until(lambda: len(feed.stored) > 2)
    answer = take_snapshot(lake.lake)
    stop.set()
    putting.join(WITHIN_S)
    copy = lake.lake.paths.data_dir / answer.folder / lake.lake.paths.database.name
    with duckdb.connect(str(copy), read_only=True) as connection:
        (counts,) = connection.execute(
            "SELECT (SELECT count(*) FROM gex_snapshots), (SELECT count(*) FROM universal_webhooks), "
            "(SELECT sequence FROM feed_position)"
        ).fetchall()
    assert counts[0] == counts[1] == counts[2] / 2 > 0


def test_a_fatal_error_opens_the_file_again_and_the_batch_is_stored(
    lake: LakeOnDisk, feed: FeedOnLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise duckdb.FatalException("the database has been invalidated")

    batch = feed.batch(a_snapshot())
    with monkeypatch.context() as patched:
        patched.setattr(store, "_write", fail)
        with pytest.raises(StorageTrouble):
            feed.store(batch)
    feed.store(batch)
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(2,)]


def test_what_another_transaction_has_changed_is_no_fault_of_the_batch(
    lake: LakeOnDisk, feed: FeedOnLake
) -> None:
    feed.put(a_snapshot())
    batch = feed.batch(a_snapshot(1))
    with lake.lake.writing() as connection:
        connection.begin()
        connection.execute("DELETE FROM feed_position")
        with pytest.raises(StorageTrouble):
            feed.store(batch)
        connection.rollback()
    feed.store(batch)
    assert lake.rows("SELECT snapshots FROM live_partitions") == [(2,)]


def test_a_small_table_is_copied_again_after_a_batch_only_if_batches_write_it(
    lake: LakeOnDisk, feed: FeedOnLake
) -> None:
    tables = ("partitions", "live_partitions")
    before = [lake.lake.writes_to(table) for table in tables]
    feed.put(a_snapshot())
    after = [lake.lake.writes_to(table) for table in tables]
    assert (after[0] == before[0], after[1] > before[1]) == (True, True)


def test_a_batch_that_finds_the_disk_full_is_stored_when_there_is_space(
    lake: LakeOnDisk, feed: FeedOnLake
) -> None:
    source = Random(1)
    strikes = [Strike(float(strike), source.random(), source.random()) for strike in range(200)]
    feed.put(a_snapshot())
    batch = feed.batch(*(a_snapshot(second, strikes=strikes) for second in range(1, 60)))
    with own_files_limited(ROOM_BYTES), pytest.raises(DiskFull):
        feed.store(batch)
    assert lake.rows("SELECT sequence FROM feed_position") == [(1,)]
    feed.store(batch)
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(2 + 59 * 200,)]
