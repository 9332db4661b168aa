"""Batches in any order, cut anywhere and delivered in any way, equal a plain model of the rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.importer.feeds.merge import VALUES
from shared.bus.feeds.live_messages import Snapshot, SnapshotPart, Strike
from tests.support.examples import examples
from tests.support.importer.feeding import OPEN_MS, FeedOnLake, split
from tests.support.importer.lake import LakeOnDisk, a_record
from tests.support.values import a_job

DAY_MS = 24 * 3600 * 1000
HISTORY = [a_record(0), a_record(1)]
NUMBERS = st.none() | st.integers(-5, 5).map(float)
COLUMNS = ("spot_price", "zero_gamma", "major_pos_vol", "sum_gex_oi")
STRIKES = st.lists(
    st.builds(
        Strike,
        st.integers(1, 3).map(float),
        NUMBERS,
        NUMBERS,
        st.none() | st.lists(st.integers(0, 3), max_size=2),
    ),
    max_size=3,
)
SNAPSHOTS = st.builds(
    Snapshot,
    ticker=st.sampled_from(["NQ_NDX", "SPX"]),
    endpoint=st.sampled_from(["gex_zero", "gex_one"]),
    timestamp=st.builds(
        lambda second, day: OPEN_MS + second * 1000 + day * DAY_MS, st.integers(0, 3), st.integers(0, 1)
    ),
    part=st.sampled_from(SnapshotPart),
    min_dte=st.none() | st.integers(0, 2),
    max_priors=st.none() | st.lists(st.integers(0, 2), max_size=2),
    strikes=st.none() | STRIKES,
    **dict.fromkeys(COLUMNS, NUMBERS),
)


class Model:
    """The rules in plain Python."""

    def __init__(self) -> None:
        self.history = {("NQ_NDX", "gex_zero", record["timestamp"] * 1000) for record in HISTORY}
        self.rows: dict[tuple[str, str, int], dict[str, Any]] = {}

    def take(self, snapshot: Snapshot) -> None:
        key = (snapshot.ticker, snapshot.endpoint, snapshot.timestamp)
        if key in self.history:
            return
        row = self.rows.setdefault(key, {"strikes": [], **dict.fromkeys(VALUES)})
        for name in VALUES:
            if getattr(snapshot, name) is not None:
                row[name] = getattr(snapshot, name)
        row["strikes"] = snapshot.strikes or row["strikes"]

    def snapshots(self) -> list[tuple[Any, ...]]:
        return sorted(
            (*key, *(row[name] for name in (*COLUMNS, "min_dte")), text(row["max_priors"]))
            for key, row in self.rows.items()
        )

    def strikes(self) -> list[tuple[Any, ...]]:
        return [
            (*key, strike.strike, strike.gamma, strike.oi_gamma, text(strike.priors))
            for key, row in sorted(self.rows.items())
            for strike in row["strikes"]
        ]

    def counts(self) -> list[tuple[Any, ...]]:
        totals: dict[tuple[Any, ...], list[int]] = {}
        for (ticker, endpoint, timestamp), row in self.rows.items():
            total = totals.setdefault((ticker, endpoint, (timestamp - OPEN_MS) // DAY_MS), [0, 0])
            total[0] += 1
            total[1] += len(row["strikes"])
        return sorted((*key, *total) for key, total in totals.items())


def text(value: list[Any] | None) -> str | None:
    return None if value is None else "[" + ",".join(str(item) for item in value) + "]"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Any:
    lake = LakeOnDisk(tmp_path_factory.mktemp("lake"))
    yield lake
    lake.close()


@pytest.mark.slow
@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(SNAPSHOTS, min_size=1, max_size=25),
    st.lists(st.integers(1, 10), max_size=6),
    st.data(),
)
def test_any_batches_equal_the_model(
    lake: LakeOnDisk, snapshots: list[Snapshot], sizes: list[int], data: st.DataObject
) -> None:
    with lake.lake.writing() as connection:
        for table in ("gex_snapshots", "gex_strikes", "live_partitions", "feed_position", "partitions"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM gex_history_queue")
    lake.import_staged(lake.stage(HISTORY, a_job()))
    feed, model = FeedOnLake(lake.lake), Model()
    for snapshot in snapshots:
        model.take(snapshot)
    parts = split(feed.batch(*snapshots), *sizes)
    for number, part in enumerate(parts):
        feed.store(part)
        if data.draw(st.booleans()):
            feed.store(parts[data.draw(st.integers(0, number))])
    names = ", ".join((*COLUMNS, "min_dte", "max_priors"))
    live = (
        f"SELECT ticker, endpoint, timestamp, {names} FROM gex_snapshots WHERE source = 'live' ORDER BY ALL"
    )
    assert sorted(lake.rows(live), key=lambda row: row[:3]) == sorted(
        model.snapshots(), key=lambda row: row[:3]
    )
    strikes = (
        "SELECT ticker, endpoint, timestamp, strike, gamma, oi_gamma, priors FROM gex_strikes "
        "WHERE (ticker, endpoint, timestamp) IN "
        "(SELECT (ticker, endpoint, timestamp) FROM gex_snapshots WHERE source = 'live') "
        "ORDER BY ticker, endpoint, timestamp, rowid"
    )
    assert lake.rows(strikes) == model.strikes()
    counts = (
        "SELECT ticker, endpoint, trading_day - DATE '2025-11-14', snapshots, strike_rows "
        "FROM live_partitions ORDER BY ALL"
    )
    assert lake.rows(counts) == model.counts()
    assert lake.rows("SELECT count(*) FROM gex_snapshots WHERE source = 'history'") == [(len(HISTORY),)]
