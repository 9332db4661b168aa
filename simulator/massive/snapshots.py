"""Snapshots of the REST API: cleared at 03:30 in New York and refilled from the first trade on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shared.massive.bars import MINUTE_MS, Bar

_MS_NS: Final = 1_000_000
_LOT: Final = 100


def snapshot_of(
    symbol: str, today: Sequence[Bar], before: Sequence[Bar], *, has_trades: bool, has_quotes: bool
) -> dict[str, Any]:
    """Return the snapshot of a symbol; before the first trade of a day its values are 0.

    Args:
        symbol: which.
        today: the bars of the day so far.
        before: the bars of the trading day before.
        has_trades: whether it has the last trade.
        has_quotes: whether it has the last quote.
    """
    last = today[-1] if today else None
    change = round(last.close - before[-1].close, 4) if last and before else 0
    snapshot: dict[str, Any] = {
        "ticker": symbol,
        "todaysChange": change,
        "todaysChangePerc": round(100 * change / before[-1].close, 4) if before else 0,
        "updated": (last.timestamp + MINUTE_MS) * _MS_NS if last else 0,
        "day": _day(today),
        "prevDay": _day(before),
        "min": _minute(today),
    }
    if last and has_trades:
        at = (last.timestamp + MINUTE_MS - 1) * _MS_NS
        snapshot["lastTrade"] = {"p": last.close, "s": 100, "t": at, "x": 12, "c": [14, 41], "i": "4046"}
    if last and has_quotes:
        snapshot["lastQuote"] = {
            "p": round(last.close - 0.01, 2),
            "s": 8 * _LOT,
            "P": round(last.close + 0.01, 2),
            "S": 4 * _LOT,
            "t": (last.timestamp + MINUTE_MS) * _MS_NS - 1,
        }
    return snapshot


def _day(bars: Sequence[Bar]) -> dict[str, float]:
    if not bars:
        return dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
    volume = sum(bar.volume for bar in bars)
    traded = sum(bar.close * bar.volume for bar in bars)
    return {
        "o": bars[0].open,
        "h": max(bar.high for bar in bars),
        "l": min(bar.low for bar in bars),
        "c": bars[-1].close,
        "v": volume,
        "vw": round(traded / volume, 4),
    }


def _minute(bars: Sequence[Bar]) -> dict[str, float]:
    if not bars:
        return dict.fromkeys(("av", "t", "n", "o", "h", "l", "c", "v", "vw"), 0)
    bar = bars[-1]
    return {
        "av": sum(each.volume for each in bars),
        "t": bar.timestamp,
        "n": bar.trades or 0,
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": bar.volume,
        "vw": bar.vwap or 0,
    }
