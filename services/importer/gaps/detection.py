"""Compare the minutes of sessions with the stored bars and the known gaps; nothing is written.

A gap has an identity: a run of missing minutes that overlaps a known gap is that gap, grown or shrunk. It
ends as a whole once the vendor has answered for its day, or all its minutes have bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import duckdb

from gexlake.api.chronox.bars import DetectGapsRequest
from services.importer.bars.gaps import DAY_MS, EPOCH, RUNS, SHIFT_MS, found_missing
from shared.gexbot.trading_day import bounds_ms
from shared.massive.bars import MINUTE_MS
from shared.massive.sessions import session_of

MAX_RUNS: Final = 200_000
"""Runs of missing minutes of one detection, so that they fit into memory; later days wait for the next."""

# The times before which nothing counts: the registration, the first gap, or the first day for which the
# vendor has answered, whichever is earliest.
_SINCE: Final = f"""
SELECT symbol, min(from_ms) FROM (
    SELECT symbol, epoch_ms(created_at) // {MINUTE_MS} * {MINUTE_MS} AS from_ms FROM symbol_registry
    UNION ALL SELECT symbol, epoch_ms(start) FROM bar_gaps WHERE status IN ('open', 'unfillable')
    UNION ALL SELECT symbol, epoch_ms(trading_day) FROM complete_bar_days
) WHERE symbol IN (SELECT unnest(?::VARCHAR[])) GROUP BY symbol
"""  # noqa: S608 (constants)
_LAST_DAYS: Final = f"""
SELECT max(day) FILTER (runs <= {MAX_RUNS} OR place = 1), max(day) FROM (
    SELECT day, sum(count(*)) OVER (ORDER BY day) AS runs, row_number() OVER (ORDER BY day) AS place
    FROM {RUNS} GROUP BY day
)
"""  # noqa: S608 (constants)
_KNOWN: Final = f"""
CREATE OR REPLACE TEMP TABLE known_gaps AS
SELECT gap.*, epoch_ms(gap.start) AS start_ms, epoch_ms(gap."end") AS end_ms, session.day
FROM bar_gaps AS gap SEMI JOIN wanted USING (symbol)
JOIN sessions AS session ON (epoch_ms(gap.start) - {SHIFT_MS}) // {DAY_MS} = session.day
WHERE gap.status IN ('open', 'unfillable') AND session.day <= $last_day
"""  # noqa: S608 (constants)
_FOUND: Final = f"""
CREATE OR REPLACE TEMP TABLE found_gaps AS
SELECT run.symbol, run.start_ms, run.end_ms, count(known.symbol) AS known, count(*) FILTER (
        known.start_ms = run.start_ms AND known.end_ms = run.end_ms
    ) = count(*) AS is_unchanged,
    coalesce(bool_or(known.status = 'unfillable'), false) AS is_unfillable,
    min(known.detected_at) AS detected_at, max(known.resolved_at) AS resolved_at,
    coalesce(max(known.attempts), 0) AS attempts, max(known.asked_at) AS asked_at, max(known.reason) AS reason
FROM {RUNS} AS run LEFT JOIN known_gaps AS known
    ON known.symbol = run.symbol AND known.day = run.day
    AND known.start_ms < run.end_ms AND known.end_ms > run.start_ms
WHERE run.day <= $last_day
GROUP BY run.symbol, run.start_ms, run.end_ms
"""  # noqa: S608 (constants)
_NEW: Final = f"""
SELECT symbol, to_timestamp(start_ms // 1000), to_timestamp(end_ms // 1000),
    ((end_ms - start_ms) // {MINUTE_MS})::INTEGER, CASE WHEN is_unfillable THEN 'unfillable' ELSE 'open' END,
    coalesce(detected_at, $now), resolved_at, attempts, asked_at, reason
FROM found_gaps WHERE NOT is_unchanged ORDER BY symbol, start_ms
"""  # noqa: S608 (constants)
_ENDED: Final = """
CREATE OR REPLACE TEMP TABLE ended AS
FROM known_gaps AS known ANTI JOIN found_gaps AS found
    ON found.symbol = known.symbol AND found.start_ms < known.end_ms AND found.end_ms > known.start_ms
"""
_OUTCOMES: Final = f"""
WITH bars AS (
    SELECT ended.symbol, ended.start_ms, count(*) AS found
    FROM ohlcv_1m AS bar JOIN ended
        ON bar.symbol = ended.symbol AND (bar.timestamp - {SHIFT_MS}) // {DAY_MS} = ended.day
        AND bar.timestamp >= ended.start_ms AND bar.timestamp < ended.end_ms
    WHERE NOT bar.adjusted AND bar.timestamp >= $first AND bar.timestamp < $last
    GROUP BY ended.symbol, ended.start_ms
)
SELECT symbol, start, CASE WHEN found > 0 THEN 'filled' WHEN is_answered THEN 'no_trades' END FROM (
    SELECT ended.symbol, ended.start, ended.start_ms, complete.symbol IS NOT NULL AS is_answered
    FROM ended LEFT JOIN complete_bar_days AS complete
        ON complete.symbol = ended.symbol AND complete.trading_day - DATE '1970-01-01' = ended.day
) LEFT JOIN bars USING (symbol, start_ms)
"""  # noqa: S608 (constants)
# Gaps that have other minutes now are written as new rows.
_REPLACED: Final = """
SELECT DISTINCT known.symbol, known.start FROM known_gaps AS known JOIN found_gaps AS found
    ON found.symbol = known.symbol AND found.start_ms < known.end_ms AND found.end_ms > known.start_ms
WHERE NOT found.is_unchanged
"""


@dataclass(frozen=True)
class Changes:
    """What a detection changes in ``bar_gaps``.

    Args:
        new: rows, those of gaps with other minutes than before among them.
        replaced: symbol and start of rows that give way to these.
        ended: symbol, start and outcome of gaps that are gaps no more; without an outcome, their minutes are
            of no session any more.
        detected: how many gaps were not known.
        truncated: whether there are later ones.
    """

    new: list[tuple[Any, ...]]
    replaced: list[tuple[str, datetime]]
    ended: list[tuple[str, datetime, str | None]]
    detected: int
    truncated: bool


def compare(
    connection: duckdb.DuckDBPyConnection,
    request: DetectGapsRequest,
    asked_for: Mapping[str, date],
    now: datetime,
) -> Changes | None:
    """Return what a detection changes; None if there is nothing to look at.

    Args:
        connection: one that reads.
        request: symbols and sessions.
        asked_for: the first day that jobs ask for, by symbol.
        now: when gaps count as detected.
    """
    since_ms = _since_ms(connection, request, asked_for)
    if not since_ms or not request.days:
        return None
    with _looked_at(connection, request, since_ms) as truncated:
        new = connection.execute(_NEW, {"now": now}).fetchall()
        counted = connection.execute("SELECT count(*) FROM found_gaps WHERE known = 0").fetchall()
        return Changes(
            new=new,
            replaced=connection.execute(_REPLACED).fetchall(),
            ended=_ended(connection),
            detected=counted[0][0],
            truncated=truncated,
        )


def _ended(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, datetime, str | None]]:
    connection.execute(_ENDED)
    ((first, last),) = connection.execute("SELECT min(start_ms), max(end_ms) FROM ended").fetchall()
    return [] if first is None else connection.execute(_OUTCOMES, {"first": first, "last": last}).fetchall()


@contextmanager
def _looked_at(
    connection: duckdb.DuckDBPyConnection, request: DetectGapsRequest, since_ms: Mapping[str, int | None]
) -> Iterator[bool]:
    sessions = {
        each.day: session_of(each.day, extended=request.extended, closes_early=each.closes_early)
        for each in request.days
    }
    with found_missing(connection, since_ms, sessions):
        ((looked_at, found),) = connection.execute(_LAST_DAYS).fetchall()
        truncated = looked_at != found
        last_day = {"last_day": looked_at if truncated else (max(sessions) - EPOCH).days}
        connection.execute(_KNOWN, last_day)
        connection.execute(_FOUND, last_day)
        yield truncated


def _since_ms(
    connection: duckdb.DuckDBPyConnection, request: DetectGapsRequest, asked_for: Mapping[str, date]
) -> dict[str, int | None]:
    symbols = list(dict.fromkeys(request.symbols))
    if request.from_the_start:
        return dict.fromkeys(symbols, 0)
    found: dict[str, int] = dict(connection.execute(_SINCE, [symbols]).fetchall())
    asked = {symbol: bounds_ms(day)[0] for symbol, day in asked_for.items()}
    times = {symbol: (found.get(symbol), asked.get(symbol)) for symbol in symbols}
    return {symbol: min(filter(None, both), default=None) for symbol, both in times.items()}
