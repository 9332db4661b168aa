"""Merge the rows of a flat file into a trading day: a correction replaces, an equal row changes nothing.

A flat file is official and beats the stream; of it and bars by REST the later one counts. Bars of an earlier
flat file that this one lacks are removed. A bar that lacks ``vwap`` keeps that of an equal one.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from services.importer.bars.export import COLUMNS
from services.importer.feeds.columns import registered
from services.importer.flat_files.staging import STAGED
from services.importer.lake.statements import quoted
from shared.gexbot.trading_day import bounds_ms

WANTED: Final = "wanted_bars"
"""The temporary view of the file's rows for the symbols that it is imported for."""
MERGED: Final = "merged_bars"
"""The temporary view or table of the rows that are written, in the columns of ``ohlcv_1m``."""
_SYMBOLS: Final = "wanted_symbols"
_HELD: Final = "held_bars"
_GONE: Final = "gone_bars"
_PRICES: Final = ("open", "high", "low", "close", "volume")
_VALUES: Final = (*_PRICES, "vwap", "trades", "source", "received_at")


def select_wanted(connection: duckdb.DuckDBPyConnection, symbols: Collection[str] | None) -> tuple[int, int]:
    """Select the staged rows of symbols (None for all), and return how many rows and symbols these are."""
    for kind in ("VIEW", "TABLE"):
        name = WANTED if kind == "VIEW" else _SYMBOLS
        connection.execute(f"DROP {kind} IF EXISTS temp.{name}")
    if symbols is None:
        connection.execute(f"CREATE TEMP VIEW {WANTED} AS FROM {STAGED}")
    else:
        with registered(connection, "arrived", {"symbol": "VARCHAR"}, [sorted(symbols)]):
            connection.execute(f"CREATE TEMP TABLE {_SYMBOLS} AS FROM arrived")
        connection.execute(
            f"CREATE TEMP VIEW {WANTED} AS FROM {STAGED} WHERE symbol IN (FROM {_SYMBOLS}) "
            "ORDER BY symbol, timestamp"
        )
    return _row(connection, f"SELECT count(*), count(DISTINCT symbol) FROM {WANTED}")  # noqa: S608


def symbols_of_wanted(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the symbols that the wanted rows are of."""
    found = connection.execute(f"SELECT DISTINCT symbol FROM {WANTED}").fetchall()  # noqa: S608 (a constant)
    return [symbol for (symbol,) in found]


def is_empty(connection: duckdb.DuckDBPyConnection, day: date) -> bool:
    """Return whether the lake has no bar of a day."""
    (is_held,) = _row(connection, f"SELECT EXISTS (FROM ohlcv_1m WHERE {_of(day)})")
    return not is_held


def compare(
    connection: duckdb.DuckDBPyConnection, day: date, symbols: Collection[str] | None, received_at: datetime
) -> int:
    """Find the wanted rows that change anything, and return how many bars of flat files are held.

    Args:
        connection: has the wanted rows.
        day: the trading day, which is locked.
        symbols: for which they are; None for all.
        received_at: when the file was received.
    """
    of_symbols = "" if symbols is None else f"AND symbol IN (FROM {_SYMBOLS})"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_HELD} AS FROM ohlcv_1m "
        f"WHERE {_of(day)} AND NOT adjusted {of_symbols}"
    )
    same = " AND ".join(f"new.{name} = held.{name}" for name in _PRICES)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {MERGED} AS
        SELECT {_columns(received_at)} FROM (
            SELECT new.* REPLACE (
                coalesce(new.vwap, CASE WHEN {same} THEN held.vwap END) AS vwap,
                coalesce(new.trades, CASE WHEN {same} THEN held.trades END) AS trades)
            FROM {WANTED} AS new LEFT JOIN {_HELD} AS held USING (symbol, timestamp)
        ) AS new
        ANTI JOIN (FROM {_HELD} WHERE source <> 'stream') AS held
            ON new.symbol = held.symbol AND new.timestamp = held.timestamp AND {same}
            AND new.vwap IS NOT DISTINCT FROM held.vwap AND new.trades IS NOT DISTINCT FROM held.trades
        """  # noqa: S608 (constants)
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_GONE} AS SELECT symbol, timestamp FROM {_HELD} "  # noqa: S608
        f"WHERE source = 'flat_file' AND (symbol, timestamp) NOT IN (SELECT symbol, timestamp FROM {WANTED})"
    )
    (held,) = _row(connection, f"SELECT count(*) FROM {_HELD} WHERE source = 'flat_file'")  # noqa: S608
    return int(held)


def take_all(connection: duckdb.DuckDBPyConnection, received_at: datetime) -> None:
    """Take all wanted rows: the lake has no bar of the day."""
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {MERGED} AS SELECT {_columns(received_at)} FROM {WANTED}"  # noqa: S608
    )


def insert_file(connection: duckdb.DuckDBPyConnection, parquet: Path) -> None:
    """Insert the rows of a Parquet file, which has what ``take_all`` took; call it within a transaction.

    Each row group of the file becomes one of the table. From the view, two threads would make row groups of
    all sizes, which DuckDB writes a second time at its next checkpoint.
    """
    connection.execute(
        f"INSERT INTO ohlcv_1m BY NAME FROM read_parquet({quoted(str(parquet))}, hive_partitioning = false)"
    )


def replace_changed(connection: duckdb.DuckDBPyConnection, day: date) -> None:
    """Write the rows that ``compare`` found, in place of those held; call it within a transaction.

    ``recent_bars`` goes before the Parquet files in queries, so its rows get the new values, too.
    """
    same_key = "held.symbol = new.symbol AND held.timestamp = new.timestamp AND NOT held.adjusted"
    for changed in (MERGED, _GONE):
        connection.execute(
            f"DELETE FROM ohlcv_1m AS held USING {changed} AS new "  # noqa: S608 (constants)
            f"WHERE {_of(day, 'held.')} AND {same_key}"
        )
    connection.execute(f"INSERT INTO ohlcv_1m BY NAME FROM {MERGED}")
    values = ", ".join(f"{name} = new.{name}" for name in _VALUES)
    connection.execute(f"UPDATE recent_bars AS held SET {values} FROM {MERGED} AS new WHERE {same_key}")  # noqa: S608
    connection.execute(f"DELETE FROM recent_bars AS held USING {_GONE} AS new WHERE {same_key}")  # noqa: S608


def _columns(received_at: datetime) -> str:
    """Return the columns of ``ohlcv_1m``, of rows that lack the last three."""
    added = {
        "source": "'flat_file'",
        "adjusted": "false",
        "received_at": f"{quoted(received_at.isoformat())}::TIMESTAMPTZ",
    }
    return ", ".join(f"{added[name]} AS {name}" if name in added else name for name in COLUMNS.split(", "))


def _of(day: date, prefix: str = "") -> str:
    start, end = bounds_ms(day)
    return f"{prefix}timestamp >= {start} AND {prefix}timestamp < {end}"


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
