"""Live rows that queries read before they are exported."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.importer.lake.live.chunks import MERGED_AT_ONCE
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.live import LiveFeed, LiveSnapshot
from tests.support.importer.queries import ask as response_to

AT = datetime(2025, 11, 14, 14, 30, tzinfo=UTC)
SNAPSHOTS = "SELECT timestamp // 1000 - 1763130600, spot_price, source FROM gex_snapshots ORDER BY ALL"
STRIKES = "SELECT timestamp // 1000 - 1763130600, strike, gamma FROM gex_strikes ORDER BY ALL"


@pytest.fixture
def feed(lake: LakeOnDisk) -> LiveFeed:
    return LiveFeed(lake)


def ask(lake: LakeOnDisk, query: str) -> list[list[Any]]:
    return [list(row) for row in response_to(lake, query).rows]


def files(lake: LakeOnDisk) -> list[Path]:
    return list(lake.settings.paths.live.iterdir())


def test_live_rows_of_a_new_partition_are_read_at_once(lake: LakeOnDisk, feed: LiveFeed) -> None:
    feed.store([LiveSnapshot(0, 1.5)])
    assert ask(lake, SNAPSHOTS) == [[0, 1.5, "live"]]
    assert ask(lake, STRIKES) == [[0, 25000.0, 1.5], [0, 25010.0, 1.5]]
    assert ask(lake, "SELECT count(*) FROM gex_profiles") == [[2]]


def test_the_newest_version_of_a_snapshot_and_of_its_strikes_is_read(
    lake: LakeOnDisk, feed: LiveFeed
) -> None:
    feed.store([LiveSnapshot(0, 1.0), LiveSnapshot(1, 1.0)])
    feed.store([LiveSnapshot(0, 2.0, strikes=(24000.0,)), LiveSnapshot(2, 2.0)])
    feed.store([LiveSnapshot(0, 3.0, strikes=None)])
    assert ask(lake, SNAPSHOTS) == [[0, 3.0, "live"], [1, 1.0, "live"], [2, 2.0, "live"]]
    assert ask(lake, f"SELECT list(strike) FROM ({STRIKES})") == [
        [[24000.0, 25000.0, 25010.0, 25000.0, 25010.0]]
    ]


@pytest.mark.slow
def test_live_rows_stand_beside_the_history_of_their_partition(lake: LakeOnDisk, feed: LiveFeed) -> None:
    lake.import_staged(lake.stage(records(3)))
    feed.store([LiveSnapshot(7)])
    assert [row[::2] for row in ask(lake, SNAPSHOTS)] == [
        *([second, "history"] for second in range(3)),
        [7, "live"],
    ]
    assert ask(lake, "SELECT count(*) FROM gex_strikes WHERE ticker = 'NQ_NDX'") == [[8]]
    assert ask(lake, "SELECT count(*) FROM gex_strikes WHERE endpoint = 'gex_one'") == [[0]]


def test_live_webhooks_are_read_at_once(lake: LakeOnDisk, feed: LiveFeed) -> None:
    feed.store(webhooks=[("a", AT)])
    feed.store(webhooks=[("b", AT), ("c", AT.replace(hour=15))])
    assert ask(lake, "SELECT id FROM universal_webhooks ORDER BY id") == [["a"], ["b"], ["c"]]
    assert ask(lake, "SELECT count(*) FROM option_trades_events") == [[0]]


@pytest.mark.slow
def test_many_batches_are_few_files_with_the_same_rows(lake: LakeOnDisk, feed: LiveFeed) -> None:
    for second in range(MERGED_AT_ONCE**2 + 3):
        feed.store([LiveSnapshot(second % 50, float(second), strikes=(1.0,) if second % 3 else None)])
    assert len(files(lake)) == 3 + 3 + 3 + 1  # the last batch has no strikes
    stored = lake.rows(SNAPSHOTS), lake.rows(STRIKES)
    for found, query in zip(stored, (SNAPSHOTS, STRIKES), strict=True):
        assert ask(lake, query) == [list(row) for row in found]


def test_a_lake_that_is_opened_again_has_no_live_files(lake: LakeOnDisk, feed: LiveFeed) -> None:
    feed.store([LiveSnapshot(0)])
    lake.reopen()
    assert files(lake) == []
