"""The limits of age and spread beyond which a snapshot is not stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.massive.snapshots import LastQuote, MarketSnapshot, fault_of_snapshot

MAX_AHEAD: Final = timedelta(minutes=5)
"""How much the vendor's clock may be ahead of ours."""


@dataclass(frozen=True)
class SnapshotLimits:
    """What a snapshot may be at most.

    Args:
        max_age: since its time; a market is closed for four days at a holiday.
        max_spread: between the bid and the ask of its last quote, as a share of the price between them; 0 for
            no limit. Before and after the regular session, wide spreads are usual.
    """

    max_age: timedelta
    max_spread: float

    def fault_of(self, snapshot: MarketSnapshot, now: datetime) -> str | None:
        """Return what is wrong with a snapshot, naming the field, or None for a correct one.

        From 03:30 in New York to the first trade of a day it has no time, minute and day: that is right.
        """
        return (
            fault_of_snapshot(snapshot)
            or self._fault_of_time(snapshot.updated_at_ns, now)
            or (self._fault_of_quote(snapshot.quote) if snapshot.quote else None)
        )

    def _fault_of_time(self, updated_at_ns: int | None, now: datetime) -> str | None:
        if updated_at_ns is None:
            return None
        age_s = now.timestamp() - updated_at_ns / 1e9
        if age_s < -MAX_AHEAD.total_seconds():
            return f"updated: {_shown(updated_at_ns)} is later than the present moment"
        if age_s > self.max_age.total_seconds():
            days = self.max_age.total_seconds() / 86400
            return f"updated: {_shown(updated_at_ns)} is over {days:g} days ago"
        return None

    def _fault_of_quote(self, quote: LastQuote) -> str | None:
        bid, ask = quote.bid, quote.ask
        if bid < 0 or ask < 0:
            return f"quote: the bid {bid} or the ask {ask} is below 0"
        if not bid or not ask or not self.max_spread:  # one side has no orders
            return None
        spread = (ask - bid) / ((ask + bid) / 2)
        if spread > self.max_spread:
            return f"quote: the spread of {bid} to {ask} is over {self.max_spread:.0%} of the price"
        return None


def _shown(at_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(at_ns)
