"""The table ``bar_gaps``: what a detection changes in it, and what is read from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import duckdb

from gexlake.api.chronox.bars import MAX_REASON, DetectGapsRequest, Gap, GapsRequest, GapsResponse, GapStatus
from services.importer.feeds.columns import registered
from services.importer.gaps.bar_jobs import Refusal
from services.importer.gaps.detection import Changes

KEPT_FOR: Final = timedelta(days=90)
"""For how long gaps that are filled, or without trades, are kept."""
ASK_AGAIN_AFTER: Final = timedelta(hours=20)
"""A gap that was asked for, and is open still, is asked for again by the detection of the next day."""
MAX_ATTEMPTS: Final = 5
"""A gap that was asked for this often is not asked for again by itself."""
_TIME: Final = "TIMESTAMP WITH TIME ZONE"
_COLUMNS: Final = {
    "symbol": "VARCHAR",
    "start": _TIME,
    "end": _TIME,
    "missing": "INTEGER",
    "status": "VARCHAR",
    "detected_at": _TIME,
    "resolved_at": _TIME,
    "attempts": "INTEGER",
    "asked_at": _TIME,
    "reason": "VARCHAR",
}
_KEY: Final = {"symbol": "VARCHAR", "start": _TIME}
_LISTED: Final = 'symbol, start, "end", missing, status, detected_at, resolved_at, attempts, reason'
_DELETE: Final = """
DELETE FROM bar_gaps USING gone
WHERE bar_gaps.symbol = gone.symbol AND bar_gaps.start = gone.start
    AND bar_gaps.status IN ('open', 'unfillable')
"""
_END: Final = """
UPDATE bar_gaps SET status = ended.status, resolved_at = $now, reason = NULL FROM ended
WHERE bar_gaps.symbol = ended.symbol AND bar_gaps.start = ended.start
    AND bar_gaps.status IN ('open', 'unfillable')
"""
_REFUSE: Final = """
UPDATE bar_gaps SET status = 'unfillable', resolved_at = $now, reason = refused.reason FROM (
    SELECT symbol, "first", "last", max("at") AS "at", arg_max(reason, "at") AS reason
    FROM refused GROUP BY symbol, "first", "last"
) AS refused
WHERE bar_gaps.status = 'open' AND bar_gaps.symbol = refused.symbol
    AND CAST(new_york_time(epoch_ms(bar_gaps.start)) AS DATE) BETWEEN refused."first" AND refused."last"
    AND (bar_gaps.asked_at IS NULL OR bar_gaps.asked_at < refused."at")
"""
_GIVE_UP: Final = """
UPDATE bar_gaps SET status = 'unfillable', resolved_at = $now,
    reason = 'asked for ' || attempts || ' times without an answer'
WHERE status = 'open' AND attempts >= $max_attempts AND asked_at < $before
"""


class GapDay(NamedTuple):
    """The gaps of a symbol in one day that are to be asked for."""

    symbol: str
    day: date
    missing: int


def apply(connection: duckdb.DuckDBPyConnection, changes: Changes, now: datetime) -> int:
    """Write what a detection has changed, within a transaction, and return how many gaps have ended."""
    kept_from = now - KEPT_FOR
    connection.execute(
        "DELETE FROM bar_gaps WHERE status IN ('filled', 'no_trades') AND resolved_at < ?", [kept_from]
    )
    gone = [*changes.replaced, *((symbol, start) for symbol, start, status in changes.ended if not status)]
    with registered(connection, "gone", _KEY, _columns(gone, len(_KEY))):
        connection.execute(_DELETE)
    ended = [row for row in changes.ended if row[2]]
    with registered(connection, "ended", {**_KEY, "status": "VARCHAR"}, _columns(ended, 3)):
        connection.execute(_END, {"now": now})
    with registered(connection, "new", _COLUMNS, _columns(changes.new, len(_COLUMNS))):
        connection.execute("INSERT INTO bar_gaps BY NAME FROM new")
    return len(ended)


def refuse(connection: duckdb.DuckDBPyConnection, refusals: Iterable[Refusal], now: datetime) -> None:
    """Mark open gaps that the vendor has refused since they were asked for, within a transaction."""
    rows = [(*refusal[:4], refusal.reason[:MAX_REASON]) for refusal in refusals]
    types = {"symbol": "VARCHAR", "first": "DATE", "last": "DATE", "at": _TIME, "reason": "VARCHAR"}
    with registered(connection, "refused", types, _columns(rows, len(types))):
        connection.execute(_REFUSE, {"now": now})


def give_up(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Mark open gaps that were asked for often enough, within a transaction."""
    before = now - ASK_AGAIN_AFTER
    connection.execute(_GIVE_UP, {"now": now, "max_attempts": MAX_ATTEMPTS, "before": before})


def reopen(connection: duckdb.DuckDBPyConnection, symbols: Sequence[str]) -> None:
    """Open the gaps of symbols that the vendor has refused, within a transaction."""
    connection.execute(
        "UPDATE bar_gaps SET status = 'open', resolved_at = NULL, reason = NULL, asked_at = NULL, "
        "attempts = 0 "
        "WHERE status = 'unfillable' AND symbol IN (SELECT unnest(?::VARCHAR[]))",
        [list(symbols)],
    )


def days_to_ask(
    connection: duckdb.DuckDBPyConnection, request: DetectGapsRequest, before: datetime
) -> list[GapDay]:
    """Return the days of a request with open gaps that were not asked for since ``before``, by symbol."""
    days = [each.day for each in request.days]
    found = connection.execute(
        "SELECT symbol, CAST(new_york_time(epoch_ms(start)) AS DATE) AS day, sum(missing)::BIGINT "
        "FROM bar_gaps WHERE status = 'open' AND symbol IN (SELECT unnest(?::VARCHAR[])) "
        "AND (asked_at IS NULL OR asked_at <= ?) GROUP BY symbol, day "
        "HAVING day IN (SELECT unnest(?::DATE[])) ORDER BY ALL",
        [list(request.symbols), before, days],
    ).fetchall()
    return [GapDay(*row) for row in found]


def mark_asked(
    connection: duckdb.DuckDBPyConnection, ranges: Sequence[tuple[str, date, date]], now: datetime
) -> None:
    """Note that the gaps of ranges of days are asked for, within a transaction."""
    types = {"symbol": "VARCHAR", "first": "DATE", "last": "DATE"}
    with registered(connection, "asked", types, _columns(ranges, len(types))):
        connection.execute(
            "UPDATE bar_gaps SET asked_at = ?, attempts = attempts + 1 FROM asked "
            "WHERE status = 'open' AND bar_gaps.symbol = asked.symbol "
            'AND CAST(new_york_time(epoch_ms(start)) AS DATE) BETWEEN asked."first" AND asked."last"',
            [now],
        )


def totals(connection: duckdb.DuckDBPyConnection) -> dict[GapStatus, tuple[int, int]]:
    """Return how many gaps there are, and their minutes, by status."""
    found = connection.execute(
        "SELECT status, count(*), sum(missing)::BIGINT FROM bar_gaps GROUP BY status"
    ).fetchall()
    return dict.fromkeys(GapStatus, (0, 0)) | {
        GapStatus(status): (count, missing) for status, count, missing in found
    }


def listed(connection: duckdb.DuckDBPyConnection, request: GapsRequest) -> GapsResponse:
    """Return gaps, the oldest first."""
    wanted = {"symbol": request.symbol, "status": request.status}
    conditions = [f"{name} = ${name}" for name, value in wanted.items() if value is not None]
    values = {name: str(value) for name, value in wanted.items() if value is not None}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    ((count, missing),) = connection.execute(
        f"SELECT count(*), coalesce(sum(missing), 0)::BIGINT FROM bar_gaps {where}",  # noqa: S608 (constants)
        values,
    ).fetchall()
    found = connection.execute(
        f"SELECT {_LISTED} FROM bar_gaps {where} ORDER BY start, symbol LIMIT {request.limit}",  # noqa: S608
        values,
    ).fetchall()
    gaps = tuple(Gap.model_validate(dict(zip(Gap.model_fields, row, strict=True))) for row in found)
    return GapsResponse(gaps=gaps, total_count=count, missing_minutes=missing, truncated=count > len(gaps))


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width
