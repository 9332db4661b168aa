"""Fill a lake with minute bars of whole sessions, but for gaps that are planted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import duckdb

from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.intake.market_days import early_close, why_closed
from shared.massive.bars import MINUTE_MS
from shared.massive.sessions import Session, session_of

LAST_DAY: Final = date(2025, 12, 5)
_MAX_MINUTES: Final = 60
_INSERT: Final = """
INSERT INTO ohlcv_1m BY NAME
SELECT format('S{:04d}', number) AS symbol, minute AS timestamp, 100.0 AS open, 101.0 AS high, 99.0 AS low,
    100.5 AS close, 1000.0 AS volume, 100.2 AS vwap, 10 AS trades, 'rest' AS source, false AS adjusted,
    TIMESTAMPTZ '2025-12-06 00:00:00Z' AS received_at
FROM range($symbols) AS symbols(number), range($start, $end, 60000) AS minutes(minute)
ORDER BY ALL
"""


class PlantedGap(NamedTuple):
    """Minutes of a symbol that the lake lacks."""

    symbol: str
    start_ms: int
    end_ms: int


def sessions_before(last: date, count: int) -> dict[date, Session]:
    """Return the sessions of the last ``count`` trading days, by day."""
    days: list[date] = []
    day = last
    while len(days) < count:
        if why_closed(day) is None:
            days.append(day)
        day -= timedelta(days=1)
    return {
        day: session_of(day, extended=False, closes_early=early_close(day) is not None)
        for day in reversed(days)
    }


def names(symbols: int) -> tuple[str, ...]:
    """Return the names of so many symbols."""
    return tuple(f"S{number:04d}" for number in range(symbols))


def plant(symbols: int, sessions: dict[date, Session], count: int) -> list[PlantedGap]:
    """Return gaps, at most one a symbol and day; a third is on half days and after holidays."""
    draw = random.Random(7)
    pairs = [(symbol, day) for symbol in names(symbols) for day in sessions]
    special = [pair for pair in pairs if _is_special(pair[1])]
    chosen = draw.sample(special, min(count // 3, len(special)))
    taken = set(chosen)
    chosen += draw.sample([pair for pair in pairs if pair not in taken], count - len(chosen))
    return sorted(PlantedGap(symbol, *_minutes(draw, sessions[day])) for symbol, day in chosen)


def fill(lake: Lake, symbols: int, sessions: dict[date, Session], gaps: Sequence[PlantedGap]) -> int:
    """Write the bars, and return how many."""
    with lake.writing() as connection:
        with transaction(connection):
            for session in sessions.values():
                values = {"symbols": symbols, "start": session.start_ms, "end": session.end_ms}
                connection.execute(_INSERT, values)
            _remove(connection, gaps)
        ((count,),) = connection.execute("SELECT count(*) FROM ohlcv_1m").fetchall()
    return int(count)


def _remove(connection: duckdb.DuckDBPyConnection, gaps: Sequence[PlantedGap]) -> None:
    columns = [list(column) for column in zip(*gaps, strict=True)]
    connection.execute(
        "DELETE FROM ohlcv_1m AS bar USING (SELECT unnest(?) AS symbol, unnest(?) AS start_ms, "
        "unnest(?) AS end_ms) AS gap WHERE bar.symbol = gap.symbol "
        "AND bar.timestamp >= gap.start_ms AND bar.timestamp < gap.end_ms",
        columns,
    )


def _minutes(draw: random.Random, session: Session) -> tuple[int, int]:
    minutes = session.minutes
    length = draw.randint(1, _MAX_MINUTES)
    start = draw.choice((0, len(minutes) - length, draw.randrange(len(minutes) - length)))
    return minutes[start], minutes[start] + length * MINUTE_MS


def _is_special(day: date) -> bool:
    """Return whether a day closes early, follows a closure, or is near a change of the clocks."""
    day_before = day - timedelta(days=3 if day.weekday() == 0 else 1)
    near_change = day.month in {3, 11} and day.day <= 15 and day.weekday() in {0, 4}
    return bool(early_close(day)) or why_closed(day_before) is not None or near_change
