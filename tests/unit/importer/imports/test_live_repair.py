"""A database that was lost, or lacks the last commits, gets its live rows back from the files."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from services.importer.feeds.export import export_live
from services.importer.imports.repair.comparison import Comparison, compare
from services.importer.imports.repair.rebuild import load_partition
from services.importer.imports.repair.rebuild_hours import load_hours
from services.importer.interruption import Interruption
from services.importer.lake.live.stored_batch import LiveHour
from shared.gexbot.partition import Partition
from tests.support.importer.lake import LakeOnDisk, Rows, records
from tests.support.importer.live import LiveFeed, LiveSnapshot

AT = datetime(2025, 11, 14, 14, 30, tzinfo=UTC)
MIXED = Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
LIVE = Partition("SPX", "gex_zero", date(2025, 11, 14))
HOUR = LiveHour("universal_webhooks", datetime(2025, 11, 14, 14, tzinfo=UTC))
TABLES = ("gex_snapshots", "gex_strikes", "universal_webhooks")


@pytest.fixture(autouse=True)
def feed(lake: LakeOnDisk) -> LiveFeed:
    """Store and export a partition of live rows, a mixed one, and an hour of webhooks."""
    lake.import_staged(lake.stage(records(3)))
    feed = LiveFeed(lake)
    feed.store([LiveSnapshot(7), LiveSnapshot(7, ticker="SPX"), LiveSnapshot(8, ticker="SPX")], [("a", AT)])
    export_live(lake.lake)
    return feed


def content(lake: LakeOnDisk) -> list[Rows]:
    return [
        *(lake.rows(f"FROM {table} ORDER BY ALL") for table in TABLES),
        lake.rows("SELECT ticker, snapshots, strike_rows, parquet_checksum FROM partitions ORDER BY ALL"),
        lake.rows("SELECT ticker, snapshots, strike_rows FROM live_partitions ORDER BY ALL"),
        lake.rows("SELECT table_name, rows FROM live_hours ORDER BY ALL"),
    ]


def lose_the_database(lake: LakeOnDisk) -> None:
    lake.lake.close()
    for path in lake.settings.paths.data_dir.glob("gex_data.db*"):
        path.unlink()
    lake.reopen()


def rebuild(lake: LakeOnDisk) -> Comparison:
    found = compare(lake.lake)
    load_hours(lake.lake, found.hours_to_load)
    for partition in found.to_load:
        load_partition(lake.lake, partition, Interruption())
    return found


def test_what_was_exported_does_not_differ(lake: LakeOnDisk, feed: LiveFeed) -> None:
    feed.store([LiveSnapshot(9)], [("b", AT)])
    assert compare(lake.lake) == Comparison(held=[MIXED])


def test_a_lost_database_gets_its_live_rows_from_the_files(lake: LakeOnDisk) -> None:
    before = content(lake)
    lose_the_database(lake)
    found = rebuild(lake)
    assert (found.to_load, found.hours_to_load) == ([MIXED, LIVE], [HOUR])
    assert content(lake) == before
    assert compare(lake.lake) == Comparison(held=[MIXED])
    assert export_live(lake.lake).files == 0


def test_live_rows_that_arrive_before_their_partition_is_loaded_are_merged(lake: LakeOnDisk) -> None:
    lose_the_database(lake)
    again = LiveFeed(lake)
    again.store([LiveSnapshot(0, 5.0), LiveSnapshot(8, 5.0, (1.0,), ticker="SPX"), LiveSnapshot(7)])
    again.store([LiveSnapshot(9, 5.0, ticker="SPX")], [("a", AT), ("b", AT)])
    assert export_live(lake.lake, waiting=[MIXED, LIVE]).skipped == 2
    rebuild(lake)
    export_live(lake.lake)
    assert lake.rows("SELECT id FROM universal_webhooks ORDER BY id") == [("a",), ("b",)]
    assert lake.rows(
        "SELECT (timestamp // 1000 - 1763130600)::INT, spot_price, source FROM gex_snapshots "
        "ORDER BY ticker, timestamp"
    ) == [
        *((second, 25000.25 + second, "history") for second in range(3)),
        (7, 1.0, "live"),
        *((7, 1.0, "live"), (8, 5.0, "live"), (9, 5.0, "live")),
    ]
    assert lake.rows("SELECT count(*) FROM gex_strikes WHERE ticker = 'SPX'") == [(2 + 1 + 2,)]
    assert lake.differences() == 0
    assert compare(lake.lake) == Comparison(held=[MIXED])


@pytest.mark.parametrize("unit", [MIXED, LIVE, HOUR], ids=["mixed", "live", "hour"])
def test_a_file_that_is_gone_is_exported_again(lake: LakeOnDisk, unit: Partition | LiveHour) -> None:
    path = file_of(lake, unit)
    path.unlink()
    assert compare(lake.lake) == Comparison(held=[MIXED], to_export=[unit])
    assert export_live(lake.lake).files == 1
    assert path.exists()
    assert compare(lake.lake) == Comparison(held=[MIXED])


@pytest.mark.parametrize("unit", [MIXED, LIVE, HOUR], ids=["mixed", "live", "hour"])
def test_a_file_that_is_later_than_the_database_is_loaded(
    lake: LakeOnDisk, feed: LiveFeed, unit: Partition | LiveHour
) -> None:
    """A log that was cut short opens without the last commits."""
    lake.lake.close()
    database = lake.settings.paths.database
    older = database.read_bytes()
    lake.reopen()
    feed.store([LiveSnapshot(9), LiveSnapshot(9, ticker="SPX")], [("b", AT)])
    export_live(lake.lake)
    expected = content(lake)
    lake.lake.close()
    database.write_bytes(older)
    lake.reopen()
    found = rebuild(lake)
    assert unit in (*found.to_load, *found.hours_to_load)
    assert content(lake) == expected


def file_of(lake: LakeOnDisk, unit: Partition | LiveHour) -> Path:
    paths = lake.settings.paths
    return paths.webhooks(unit.table, unit.hour) if isinstance(unit, LiveHour) else paths.parquet(unit)
