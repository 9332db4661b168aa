"""Which snapshots are stored."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.fetcher.massive.snapshot_limits import SnapshotLimits
from shared.massive.bars import Bar
from shared.massive.snapshots import LastQuote, MarketSnapshot
from tests.support.values import NOON

LIMITS = SnapshotLimits(max_age=timedelta(hours=36), max_spread=0.1)


def at(**ago: float) -> int:
    return int((NOON - timedelta(**ago)).timestamp() * 1e9)


def quoted(bid: float, ask: float) -> MarketSnapshot:
    return MarketSnapshot("AAPL", at(seconds=1), quote=LastQuote(bid, 1, ask, 1, at(seconds=1)))


@pytest.mark.parametrize(
    ("snapshot", "fault"),
    [
        (MarketSnapshot("AAPL"), None),
        (MarketSnapshot("AAPL", at(hours=36)), None),
        (MarketSnapshot("AAPL", at(hours=37)), "updated: 2025-11-13 04:00:00 UTC is over 1.5 days ago"),
        (MarketSnapshot("AAPL", at(minutes=-5)), None),
        (
            MarketSnapshot("AAPL", at(minutes=-6)),
            "updated: 2025-11-14 17:06:00 UTC is later than",
        ),
        (MarketSnapshot("AAPL", 10**25), "updated: 10000000000000000000000000 is later"),
        (MarketSnapshot("AAPL", minute=Bar(1, 1, 1, 1, 1, 1)), "minute.timestamp: 1"),
        (quoted(100, 110), None),
        (quoted(100, 111), "quote: the spread of 100 to 111 is over 10% of the price"),
        (quoted(110, 100), None),
        (quoted(0, 200_000), None),
        (quoted(-1, 5), "quote: the bid -1 or the ask 5 is below 0"),
    ],
)
def test_a_snapshot_over_a_limit_is_rejected_with_the_field(
    snapshot: MarketSnapshot, fault: str | None
) -> None:
    """A quote whose bid is above its ask, or that lacks one side, is usual outside of the session."""
    found = LIMITS.fault_of(snapshot, NOON)
    assert found is None if fault is None else str(found).startswith(fault)


def test_there_need_be_no_limit_of_the_spread() -> None:
    assert SnapshotLimits(timedelta(hours=1), 0).fault_of(quoted(1, 100), NOON) is None
