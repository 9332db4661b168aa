"""Find the minutes of sessions in which symbols have no bar.

Whether such a minute is a gap, or nothing was traded in it, only the vendor knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

import duckdb

from services.importer.feeds.columns import registered
from shared.massive.bars import MINUTE_MS
from shared.massive.sessions import Session

_DAY_MS: Final = 86_400_000
_SHIFT_MS: Final = 5 * 3_600_000
"""Sessions, extended hours included, are within 04:00 and 20:00 in New York. Five hours earlier than UTC, all
of that is on the same date, in summer and in winter."""
_EPOCH: Final = date(1970, 1, 1)
_SESSION_TYPES: Final = {"day": "BIGINT", "start_ms": "BIGINT", "end_ms": "BIGINT"}

_BARS: Final = f"""
SELECT bar.symbol, session.day, session.start_ms, bar.timestamp
FROM ohlcv_1m AS bar
JOIN sessions AS session
    ON (bar.timestamp - {_SHIFT_MS}) // {_DAY_MS} = session.day
    AND bar.timestamp >= session.start_ms AND bar.timestamp < session.end_ms
WHERE NOT bar.adjusted AND bar.timestamp BETWEEN $first AND $last
"""  # noqa: S608 (constants)
# Nearly all sessions are complete: they are counted, and only the others are looked at by minute.
_INCOMPLETE: Final = f"""
CREATE OR REPLACE TEMP TABLE incomplete AS
WITH counted AS (SELECT symbol, day, count(*) AS found FROM ({_BARS}) GROUP BY symbol, day)
SELECT symbol, day, start_ms, end_ms
FROM wanted CROSS JOIN sessions LEFT JOIN counted USING (symbol, day)
WHERE coalesce(found, 0) < (end_ms - start_ms) // {MINUTE_MS}
"""  # noqa: S608 (constants)
# Each bar ends a run of minutes that begins after the bar before it, and so does the end of the session.
_RUNS: Final = f"""
WITH ends AS (
    SELECT symbol, day, start_ms, timestamp AS until_ms, timestamp + {MINUTE_MS} AS next_ms
    FROM ({_BARS} AND (bar.symbol, session.day) IN (SELECT symbol, day FROM incomplete))
    UNION ALL SELECT symbol, day, start_ms, end_ms, end_ms FROM incomplete
),
runs AS (
    SELECT symbol, until_ms,
        lag(next_ms, 1, start_ms) OVER (PARTITION BY symbol, day ORDER BY until_ms) AS from_ms
    FROM ends
)
SELECT symbol, from_ms, until_ms FROM runs WHERE from_ms < until_ms ORDER BY symbol, from_ms
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
    rows = [((day - _EPOCH).days, each.start_ms, each.end_ms) for day, each in sessions.items()]
    bounds = {"first": min(row[1] for row in rows), "last": max(row[2] for row in rows)}
    columns = list(zip(*rows, strict=True))
    with (
        registered(connection, "sessions", _SESSION_TYPES, columns),
        registered(connection, "wanted", {"symbol": "VARCHAR"}, [list(dict.fromkeys(symbols))]),
    ):
        connection.execute(_INCOMPLETE, bounds)
        found = connection.execute(_RUNS, bounds).fetchall()
    return [MissingMinutes(*row) for row in found]
