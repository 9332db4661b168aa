"""Live rows are exported to Parquet, and read once at any moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.importer.feeds.export import export_live
from shared.bus.messages import JobSkipped
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.live import LiveFeed, LiveSnapshot
from tests.support.importer.queries import ask as response_to
from tests.support.values import a_job

AT = datetime(2025, 11, 14, 14, 30, tzinfo=UTC)
SNAPSHOTS = "SELECT timestamp // 1000 - 1763130600, spot_price, source FROM gex_snapshots ORDER BY ALL"
STRIKES = "SELECT timestamp // 1000 - 1763130600, strike, gamma FROM gex_strikes ORDER BY ALL"
IN_FILES = "SELECT timestamp // 1000 - 1763130600, strike, gamma FROM parquet_gex_strikes ORDER BY ALL"
WEBHOOKS = "SELECT id FROM universal_webhooks ORDER BY id"


@pytest.fixture
def feed(lake: LakeOnDisk) -> LiveFeed:
    return LiveFeed(lake)


def ask(lake: LakeOnDisk, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in response_to(lake, query).rows]


@pytest.mark.slow
def test_an_export_puts_files_in_place_of_the_live_rows(lake: LakeOnDisk, feed: LiveFeed) -> None:
    feed.store([LiveSnapshot(0, 1.0), LiveSnapshot(1, 1.0)], [("a", AT)])
    feed.store([LiveSnapshot(1, 2.0, strikes=(1.0,))], [("b", AT)])
    expected = [ask(lake, query) for query in (SNAPSHOTS, STRIKES, WEBHOOKS)]
    assert export_live(lake.lake).files == 2
    assert [ask(lake, query) for query in (SNAPSHOTS, STRIKES, WEBHOOKS)] == expected
    assert ask(lake, IN_FILES) == expected[1]
    assert not list(lake.settings.paths.live.iterdir())
    assert export_live(lake.lake).files == 0


def test_rows_that_arrive_after_an_export_stand_on_its_files(lake: LakeOnDisk, feed: LiveFeed) -> None:
    lake.import_staged(lake.stage(records(3)))
    feed.store([LiveSnapshot(7, 1.0), LiveSnapshot(8, 1.0)], [("a", AT)])
    export_live(lake.lake)
    feed.store([LiveSnapshot(8, 2.0, strikes=(1.0,)), LiveSnapshot(9, 2.0)], [("b", AT)])
    assert [row[:2] for row in ask(lake, SNAPSHOTS)][3:] == [(7, 1.0), (8, 2.0), (9, 2.0)]
    assert [row[:2] for row in ask(lake, STRIKES)][6:] == [
        *((7, 25000.0), (7, 25010.0), (8, 1.0)),
        *((9, 25000.0), (9, 25010.0)),
    ]
    assert ask(lake, WEBHOOKS) == [("a",), ("b",)]


def test_a_query_reads_the_files_that_it_began_with(lake: LakeOnDisk, feed: LiveFeed) -> None:
    feed.store([LiveSnapshot(0)])
    with lake.lake.live_files.lease() as view:
        export_live(lake.lake)
        listed = [path for name, paths in view.variables.items() if "hidden" not in name for path in paths]
        found = lake.rows(f"SELECT count(*) FROM read_parquet({listed}, union_by_name = true)")
        assert found == [(1 + 2 + 1,)]  # a snapshot, its strikes, and its key
    assert not list(lake.settings.paths.live.iterdir())


def test_an_import_replaces_the_live_rows_of_its_partition_with_the_next_export(
    lake: LakeOnDisk, feed: LiveFeed
) -> None:
    feed.store([LiveSnapshot(0, 9.0), LiveSnapshot(90, 9.0)])
    lake.import_staged(lake.stage(records(3)))
    assert [row[::2] for row in ask(lake, SNAPSHOTS)] == [(0, "live"), (90, "live")]
    export_live(lake.lake)
    assert [row[::2] for row in ask(lake, SNAPSHOTS)] == [(second, "history") for second in range(3)]
    assert lake.differences() == 0


def test_a_file_that_is_imported_again_beside_live_rows_is_skipped(lake: LakeOnDisk, feed: LiveFeed) -> None:
    lake.import_staged(lake.stage(records(3)))
    feed.store([LiveSnapshot(90)])
    export_live(lake.lake)
    assert lake.differences() == 0
    again = lake.import_staged(lake.stage(records(3), a_job(generation=2)))
    assert isinstance(again, JobSkipped)
    assert len(ask(lake, SNAPSHOTS)) == 4
