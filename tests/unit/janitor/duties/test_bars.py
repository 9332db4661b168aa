"""The duties about minute bars, with a stand-in of intake."""

from __future__ import annotations

from datetime import time
from uuid import uuid4

from structlog.testing import capture_logs

from gexlake.api.chronox.runs import GapsDetected, SnapshotsRefreshed, StreamsChecked
from services.janitor.duties.detect_gaps import GapDetection
from services.janitor.duties.monitor_streams import StreamMonitoring
from services.janitor.duties.refresh_snapshots import SnapshotRefresh
from services.janitor.duty import Daily, Every

GAPS = GapsDetected(
    symbols=3,
    sessions=250,
    detected=2,
    resolved=1,
    open=4,
    missing_minutes=17,
    fills_queued=3,
    fills_left=1,
    seconds=0.1,
)


class Intake:
    def __init__(self, stale: tuple[str, ...] = ()) -> None:
        self._stale = stale

    async def detect_gaps(self) -> GapsDetected:
        return GAPS

    async def refresh_snapshots(self) -> SnapshotsRefreshed:
        return SnapshotsRefreshed(symbols=300, queued=(uuid4(),), under_way=1)

    async def check_streams(self) -> StreamsChecked:
        return StreamsChecked(streaming=2, fresh=1, stale=self._stale, market_is_open=True)


async def test_gaps_are_looked_for_once_a_day() -> None:
    duty = GapDetection(time(0, 0), Intake())
    assert duty.trigger == Daily(time(0, 0))
    assert await duty.run_once() == {
        "detected": 2,
        "resolved": 1,
        "open": 4,
        "missing_minutes": 17,
        "fills_queued": 3,
        "fills_left": 1,
    }


async def test_snapshots_are_refreshed_in_batches() -> None:
    duty = SnapshotRefresh(300, Intake())
    assert duty.trigger == Every(300, at_start=False)
    assert await duty.run_once() == {"symbols": 300, "queued": 1, "under_way": 1}


async def test_streams_that_are_behind_are_named_in_a_warning() -> None:
    with capture_logs() as lines:
        assert await StreamMonitoring(60, Intake()).run_once() == {"stale": 0}
        assert await StreamMonitoring(60, Intake(("AAPL",))).run_once() == {"stale": 1}
    assert [(line["event"], line["symbols"]) for line in lines] == [("streams_stale", ["AAPL"])]
