"""Minute bars: their values, where they come from, and what a correct one is."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

import msgspec

MINUTE_MS: Final = 60_000
FIRST_MS: Final = 946_684_800_000
"""2000-01-01: the vendor has no bar before 2003, and an earlier time is in another unit than milliseconds."""
END_MS: Final = 4_102_444_800_000
"""2100-01-01: a later time is in another unit than milliseconds."""
_MAX_TRADES: Final = 2**63 - 1
"""More do not fit into the column: the whole message, a day of bars, would be a dead letter."""


class BarSource(StrEnum):
    """Where a bar comes from."""

    FLAT_FILE = "flat_file"
    REST = "rest"
    STREAM = "stream"

    @property
    def rank(self) -> int:
        """Of two bars of a minute the one with the higher rank is kept; of equal ranks, the later one.

        History is official; the stream's bar lacks trades that were reported after it.
        """
        return 0 if self is BarSource.STREAM else 1


class Bar(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One minute of a symbol in which something was traded: an array in JSON."""

    timestamp: int
    """Start of the minute, UTC epoch milliseconds."""
    open: float
    high: float
    low: float
    close: float
    volume: float
    """Shares; fractional since 2026."""
    vwap: float | None = None
    """Volume-weighted average price; the vendor leaves it out at times."""
    trades: int | None = None
    """How many trades; the vendor leaves it out at times."""


def fault_of(bar: Bar) -> str | None:
    """Return what is wrong with a bar, naming the field, or None for a correct one."""
    if not FIRST_MS <= bar.timestamp < END_MS:
        return f"timestamp: {bar.timestamp} is no time between 2000 and 2100 in milliseconds"
    if bar.timestamp % MINUTE_MS:
        return f"timestamp: {bar.timestamp} is not the start of a minute"
    return _fault_of_prices(bar) or _fault_of_amounts(bar)


def _fault_of_prices(bar: Bar) -> str | None:
    for name in ("open", "high", "low", "close"):
        price = getattr(bar, name)
        if not math.isfinite(price) or price <= 0:
            return f"{name}: {price} is no price above 0"
    for name in ("open", "close"):
        price = getattr(bar, name)
        if not bar.low <= price <= bar.high:
            return f"{name}: {price} is not between the low {bar.low} and the high {bar.high}"
    if bar.low > bar.high:
        return f"low: {bar.low} is above the high {bar.high}"
    return None


def _fault_of_amounts(bar: Bar) -> str | None:
    if not math.isfinite(bar.volume) or bar.volume < 0:
        return f"volume: {bar.volume} is no number of shares"
    if bar.vwap is not None and not math.isfinite(bar.vwap):
        return f"vwap: {bar.vwap} is no price"
    if bar.trades is not None and not 0 <= bar.trades <= _MAX_TRADES:
        return f"trades: {bar.trades} is below 0" if bar.trades < 0 else "trades: over 64 bits"
    return None
