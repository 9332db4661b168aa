"""The table ``bar_days``: the trading days with minute bars, and what their Parquet files have of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import duckdb


@dataclass(frozen=True)
class BarDay:
    """A trading day, one row of the table.

    Args:
        day: the date in New York.
        last: the number of the last batch that changed it.
        exported: the number of the last batch that its Parquet file has.
    """

    day: date
    last: int
    exported: int


def mark_changed(connection: duckdb.DuckDBPyConnection, days: Iterable[date], number: int) -> None:
    """Note that a batch has changed days; call it within its transaction."""
    changed = list(days)
    connection.execute(
        "UPDATE bar_days SET last_sequence = ? WHERE trading_day IN (SELECT unnest(?::DATE[]))",
        [number, changed],
    )
    connection.execute(
        "INSERT INTO bar_days SELECT trading_day, ?, -1 FROM (SELECT unnest(?::DATE[]) AS trading_day) "
        "ANTI JOIN bar_days USING (trading_day)",
        [number, changed],
    )


def dirty(connection: duckdb.DuckDBPyConnection) -> list[BarDay]:
    """Return the days whose Parquet files lack rows, the latest first."""
    rows = connection.execute(
        "SELECT trading_day, last_sequence, exported_sequence FROM bar_days "
        "WHERE last_sequence > exported_sequence ORDER BY trading_day DESC"
    ).fetchall()
    return [BarDay(*row) for row in rows]


def known(connection: duckdb.DuckDBPyConnection) -> set[date]:
    """Return all days."""
    return {day for (day,) in connection.execute("SELECT trading_day FROM bar_days").fetchall()}


def mark_exported(connection: duckdb.DuckDBPyConnection, day: BarDay) -> None:
    """Note that a day's Parquet file has its rows; call it within a transaction."""
    connection.execute("UPDATE bar_days SET exported_sequence = ? WHERE trading_day = ?", [day.last, day.day])


def forget_exported(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete rows of ``recent_bars`` that files have since an earlier export; call it within a transaction.

    Until then, a query that began before a file was replaced finds them here.
    """
    connection.execute(
        "DELETE FROM recent_bars USING bar_days WHERE recent_bars.trading_day = bar_days.trading_day "
        "AND recent_bars.sequence <= bar_days.exported_sequence"
    )
