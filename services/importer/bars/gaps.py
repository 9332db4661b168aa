"""Find the minutes of sessions in which symbols have no bar.

Whether such a minute is a gap, or nothing was traded in it, only the vendor knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, NamedTuple

import duckdb

from services.importer.feeds.columns import registered
from shared.massive.bars import MINUTE_MS
from shared.massive.sessions import Session

DAY_MS: Final = 86_400_000
SHIFT_MS: Final = 5 * 3_600_000
"""Sessions, extended hours included, are within 04:00 and 20:00 in New York. Five hours earlier than UTC, all
of that is on the same date, in summer and in winter."""
EPOCH: Final = date(1970, 1, 1)
RUNS: Final = "missing_runs"
"""The temporary table of ``found_missing``: ``symbol``, ``day`` since 1970, ``start_ms``, ``end_ms``."""
_SESSION_TYPES: Final = {"day": "BIGINT", "start_ms": "BIGINT", "end_ms": "BIGINT"}

# Of a day for which the vendor has answered, all bars are there.
_PAIRS: Final = f"""
CREATE OR REPLACE TEMP TABLE pairs AS
WITH complete AS (
    SELECT symbol, trading_day - DATE '{EPOCH}' AS day FROM complete_bar_days
    WHERE trading_day - DATE '{EPOCH}' IN (SELECT day FROM sessions)
)
SELECT symbol, day, start_ms, end_ms FROM wanted CROSS JOIN sessions ANTI JOIN complete USING (symbol, day)
"""  # noqa: S608 (constants)
_BOUNDS: Final = "SELECT min(start_ms), max(end_ms) FROM pairs"
_DAY: Final = f"(bar.timestamp - {SHIFT_MS}) // {DAY_MS}"
_BARS: Final = "ohlcv_1m AS bar WHERE NOT bar.adjusted AND bar.timestamp >= $first AND bar.timestamp < $last"
# Nearly all sessions are complete: their bars are counted, and only the others are looked at by minute.
_COUNTED: Final = f"""
CREATE OR REPLACE TEMP TABLE counted AS
SELECT symbol, day, count(*) FILTER ("timestamp" >= start_ms AND "timestamp" < end_ms) AS found,
    min("timestamp") AS first_ms
FROM (SELECT bar.symbol, bar.timestamp, {_DAY} AS day FROM {_BARS})
JOIN (SELECT DISTINCT day, start_ms, end_ms FROM pairs) USING (day) GROUP BY symbol, day
"""  # noqa: S608 (constants)
_INCOMPLETE: Final = f"""
CREATE OR REPLACE TEMP TABLE incomplete AS
WITH since AS (
    SELECT symbol, min(first_ms) AS since_ms FROM (
        SELECT symbol, first_ms FROM counted UNION ALL SELECT symbol, from_ms FROM wanted
    ) GROUP BY symbol
)
SELECT symbol, day, greatest(start_ms, since_ms) AS start_ms, end_ms
FROM pairs JOIN since USING (symbol) LEFT JOIN counted USING (symbol, day)
WHERE since_ms < end_ms AND (since_ms > start_ms OR coalesce(found, 0) < (end_ms - start_ms) // {MINUTE_MS})
"""  # noqa: S608 (constants)
# Each bar ends a run of minutes that begins after the bar before it, and so does the end of the session.
_RUNS: Final = f"""
CREATE OR REPLACE TEMP TABLE {RUNS} AS
WITH ends AS (
    SELECT symbol, day, start_ms, "timestamp" AS until_ms, "timestamp" + {MINUTE_MS} AS next_ms
    FROM (SELECT bar.symbol, bar.timestamp, {_DAY} AS day FROM {_BARS}) JOIN incomplete USING (symbol, day)
    WHERE "timestamp" >= start_ms AND "timestamp" < end_ms
    UNION ALL SELECT symbol, day, start_ms, end_ms, end_ms FROM incomplete
),
runs AS (
    SELECT symbol, day, until_ms,
        lag(next_ms, 1, start_ms) OVER (PARTITION BY symbol, day ORDER BY until_ms) AS from_ms
    FROM ends
)
SELECT symbol, day, from_ms AS start_ms, until_ms AS end_ms FROM runs WHERE from_ms < until_ms
"""  # noqa: S608 (constants)


class MissingMinutes(NamedTuple):
    """Minutes of a session that follow one another, in which a symbol has no bar."""

    symbol: str
    start_ms: int
    """The first of them, UTC epoch milliseconds."""
    end_ms: int
    """The minute after the last of them, UTC epoch milliseconds."""

    @property
    def minutes(self) -> int:
        """How many they are."""
        return (self.end_ms - self.start_ms) // MINUTE_MS


@contextmanager
def found_missing(
    connection: duckdb.DuckDBPyConnection,
    since_ms: Mapping[str, int | None],
    sessions: Mapping[date, Session],
) -> Iterator[None]:
    """Collect the minutes in which symbols have no bar as traded in the table ``RUNS``.

    In the context, the views ``wanted`` (``symbol``, ``from_ms``) and ``sessions`` exist, too. Days for which
    the vendor has answered are left out.

    Args:
        connection: to the lake; it may be one that reads.
        since_ms: the symbols, each with the time before which minutes do not count: an earlier bar of these
            days, if there is one, decides; None if only a bar decides.
        sessions: by trading day, at least one; only minutes within them count.
    """
    rows = [((day - EPOCH).days, each.start_ms, each.end_ms) for day, each in sessions.items()]
    wanted: list[list[Any]] = [list(since_ms), list(since_ms.values())]
    with (
        registered(connection, "sessions", _SESSION_TYPES, list(zip(*rows, strict=True))),
        registered(connection, "wanted", {"symbol": "VARCHAR", "from_ms": "BIGINT"}, wanted),
    ):
        connection.execute(_PAIRS)
        ((first, last),) = connection.execute(_BOUNDS).fetchall()
        bounds = {"first": first or 0, "last": last or 0}
        connection.execute(_COUNTED, bounds)
        connection.execute(_INCOMPLETE)
        connection.execute(_RUNS, bounds)
        yield


def missing_minutes(
    connection: duckdb.DuckDBPyConnection, symbols: Sequence[str], sessions: Mapping[date, Session]
) -> list[MissingMinutes]:
    """Return the minutes of sessions in which symbols have no bar as traded, by symbol and time.

    Args:
        connection: to the lake.
        symbols: which; those without a bar miss whole sessions.
        sessions: by trading day; only minutes within them count.
    """
    if not symbols or not sessions:
        return []
    with found_missing(connection, dict.fromkeys(symbols, 0), sessions):
        query = f"SELECT symbol, start_ms, end_ms FROM {RUNS} ORDER BY ALL"  # noqa: S608 (constant)
        return [MissingMinutes(*row) for row in connection.execute(query).fetchall()]
