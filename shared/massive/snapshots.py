"""A symbol's snapshot: its latest minute, its day so far, its last trade and quote."""

from __future__ import annotations

import msgspec

from shared.massive.bars import Bar, fault_of


class DayBar(msgspec.Struct, frozen=True, array_like=True):
    """A day of a symbol, or what there is of it: an array in JSON."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None = None


class LastTrade(msgspec.Struct, frozen=True):
    """The last trade."""

    price: float
    size: float
    traded_at_ns: int
    """UTC epoch nanoseconds."""


class LastQuote(msgspec.Struct, frozen=True):
    """The last quote; sizes are in shares or in lots, as the vendor sends them."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float
    quoted_at_ns: int
    """UTC epoch nanoseconds."""


class MarketSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A symbol at one moment; None for what the vendor does not have at that moment, or in that plan.

    From 03:30 in New York to the first trade of the day there are neither a minute nor a day.
    """

    symbol: str
    updated_at_ns: int | None = None
    """UTC epoch nanoseconds."""
    minute: Bar | None = None
    """The latest minute in which something was traded."""
    day: DayBar | None = None
    previous_day: DayBar | None = None
    change: float | None = None
    """Since the previous day's close."""
    change_percent: float | None = None
    trade: LastTrade | None = None
    quote: LastQuote | None = None


def fault_of_snapshot(snapshot: MarketSnapshot) -> str | None:
    """Return what is wrong with a snapshot, naming the field, or None for a correct one."""
    fault = fault_of(snapshot.minute) if snapshot.minute else None
    if fault:
        return f"minute.{fault}"
    for name, day in (("day", snapshot.day), ("previous_day", snapshot.previous_day)):
        if day and not 0 < day.low <= min(day.open, day.close) <= max(day.open, day.close) <= day.high:
            return f"{name}: {day.open}, {day.high}, {day.low}, {day.close} are no open, high, low and close"
    return None
