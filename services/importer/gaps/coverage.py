"""What the lake has of symbols: bars, and the days for which the vendor has answered."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

import duckdb

from gexlake.api.chronox.bars import BarCoverageRequest, DayRange, SymbolCoverage
from shared.gexbot.trading_day import bounds_ms

_BARS: Final = """
SELECT symbol, count(*), min("timestamp"), max("timestamp") FROM ohlcv_1m
WHERE symbol IN (SELECT unnest($symbols::VARCHAR[])) AND NOT adjusted
    AND "timestamp" >= $start AND "timestamp" < $end
GROUP BY symbol
"""
# Weekdays are numbered without the weekends between them, so that those of a range follow one another.
_COMPLETE: Final = """
WITH numbered AS (
    SELECT symbol, trading_day, (trading_day - DATE '1900-01-01') // 7 * 5 + isodow(trading_day)
        - row_number() OVER (PARTITION BY symbol ORDER BY trading_day) AS range
    FROM complete_bar_days
    WHERE symbol IN (SELECT unnest($symbols::VARCHAR[])) AND trading_day BETWEEN $first AND $last
)
SELECT symbol, min(trading_day) AS "first", max(trading_day) AS "last" FROM numbered
GROUP BY symbol, range ORDER BY symbol, "first"
"""


def bar_coverage(
    connection: duckdb.DuckDBPyConnection, request: BarCoverageRequest
) -> tuple[SymbolCoverage, ...]:
    """Return what the lake has of each symbol within the days of a request, in the order of the request."""
    symbols = list(dict.fromkeys(request.symbols))
    bounds = {"start": bounds_ms(request.first)[0], "end": bounds_ms(request.last)[1]}
    found = connection.execute(_BARS, {"symbols": symbols, **bounds}).fetchall()
    bars = {symbol: counted for symbol, *counted in found}
    complete = _complete(connection, symbols, request.first, request.last)
    return tuple(
        SymbolCoverage(
            symbol=symbol,
            bars=count,
            first_bar=None if first is None else datetime.fromtimestamp(first / 1000, tz=UTC),
            last_bar=None if last is None else datetime.fromtimestamp(last / 1000, tz=UTC),
            complete=tuple(complete.get(symbol, ())),
        )
        for symbol, (count, first, last) in ((each, bars.get(each, (0, None, None))) for each in symbols)
    )


def _complete(
    connection: duckdb.DuckDBPyConnection, symbols: list[str], first: date, last: date
) -> dict[str, list[DayRange]]:
    found = connection.execute(_COMPLETE, {"symbols": symbols, "first": first, "last": last}).fetchall()
    ranges: dict[str, list[DayRange]] = {}
    for symbol, begin, end in found:
        ranges.setdefault(symbol, []).append(DayRange(first=begin, last=end))
    return ranges
