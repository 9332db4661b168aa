"""The table ``bar_days``: the trading days with minute bars, and what their Parquet files have of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import duckdb

from shared.gexbot.partition import Partition
from shared.massive.resources import BARS_ENDPOINT, WHOLE_MARKET


@dataclass(frozen=True)
class BarDay:
    """A trading day, one row of the table.

    Args:
        day: the date in New York.
        last: the number of the last batch that changed it.
        exported: the number of the last batch that its Parquet file has; below 0 if it has to be written.
    """

    day: date
    last: int
    exported: int


def lock_of(day: date) -> Partition:
    """Return what is locked in the lake while rows of a trading day, or its file, are replaced."""
    return Partition(WHOLE_MARKET, BARS_ENDPOINT, day)


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


def every(connection: duckdb.DuckDBPyConnection) -> dict[date, BarDay]:
    """Return all days."""
    rows = connection.execute("SELECT trading_day, last_sequence, exported_sequence FROM bar_days").fetchall()
    return {row[0]: BarDay(*row) for row in rows}


def add_loaded(connection: duckdb.DuckDBPyConnection, day: date) -> bool:
    """Add a day whose rows come from its file; return False if it is known already."""
    added = connection.execute(
        "INSERT INTO bar_days SELECT day, 0, 0 FROM (SELECT ?::DATE AS day) "
        "WHERE day NOT IN (SELECT trading_day FROM bar_days)",
        [day],
    ).fetchone()
    return bool(added and added[0])


def mark_exported(connection: duckdb.DuckDBPyConnection, day: BarDay) -> bool:
    """Note that a day's Parquet file has its rows; call it within a transaction.

    Returns:
        False if the file, or an import of the day, is newer than ``day``; nothing is noted then.
    """
    noted = connection.execute(
        "UPDATE bar_days SET exported_sequence = ? WHERE trading_day = ? AND exported_sequence = ?",
        [day.last, day.day, day.exported],
    ).fetchone()
    return bool(noted and noted[0])


def mark_outdated(connection: duckdb.DuckDBPyConnection, days: Iterable[date]) -> None:
    """Note that the Parquet files of days lack rows, or are missing; an export that is under way is void."""
    connection.execute(
        "UPDATE bar_days SET exported_sequence = least(exported_sequence, 0) - 1 "
        "WHERE trading_day IN (SELECT unnest(?::DATE[]))",
        [list(days)],
    )


def forget_exported(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete rows of ``recent_bars`` that files have since an earlier export; call it within a transaction.

    Until then, a query that began before a file was replaced finds them here.
    """
    connection.execute(
        "DELETE FROM recent_bars USING bar_days WHERE recent_bars.trading_day = bar_days.trading_day "
        "AND recent_bars.sequence <= bar_days.exported_sequence"
    )
