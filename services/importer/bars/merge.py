"""Merge the bars of a batch into ``ohlcv_1m``: the official bar stays, a correction replaces.

Of two bars of a symbol, minute and adjustment, the one with the higher rank is kept, and of equal ranks the
later one; of two official ones, that which was received later. A bar that lacks ``vwap`` or ``trades`` keeps
those of an equal bar, as flat files lack the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import duckdb

from services.importer.bars.rows import BarRow, SnapshotRow
from services.importer.feeds.columns import registered

BATCH: Final = "batch_bars"
"""The temporary table of the rows that are written."""
_TYPES: Final = {
    "symbol": "VARCHAR",
    "timestamp": "BIGINT",
    **dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), "DOUBLE"),
    "trades": "BIGINT",
    "source": "VARCHAR",
    "adjusted": "BOOLEAN",
    "received_at": "TIMESTAMP WITH TIME ZONE",
    "trading_day": "DATE",
    "rank": "INTEGER",
    "place": "BIGINT",
}
_SNAPSHOT_TYPES: Final = {
    "symbol": "VARCHAR",
    "timestamp": "BIGINT",
    "minute": "BIGINT",
    **dict.fromkeys(SnapshotRow._fields[3:-1], "DOUBLE"),
    "received_at": "TIMESTAMP WITH TIME ZONE",
}
_KEY: Final = ("symbol", "timestamp", "adjusted")
_LISTED: Final = ", ".join(f'"{name}"' for name in _KEY)
_PRICES: Final = ("open", "high", "low", "close", "volume")
_SAME_KEY: Final = " AND ".join(f'batch."{name}" = held."{name}"' for name in _KEY)
_SAME_PRICES: Final = " AND ".join(f"batch.{name} = held.{name}" for name in _PRICES)


def write_bars(connection: duckdb.DuckDBPyConnection, rows: Sequence[BarRow], number: int) -> dict[date, int]:
    """Write the bars of a batch, and return how many rows of each trading day have changed.

    Args:
        connection: in a transaction.
        rows: the bars, in their order.
        number: of the batch.
    """
    with registered(connection, "arrived", _TYPES, list(zip(*rows, strict=True))):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {BATCH} AS SELECT * EXCLUDE place FROM arrived QUALIFY "  # noqa: S608
            f"row_number() OVER (PARTITION BY {_LISTED} ORDER BY rank DESC, place DESC) = 1"
        )
    bounds = connection.execute(
        f'SELECT min("timestamp"), max("timestamp") FROM {BATCH} GROUP BY trading_day'  # noqa: S608 (constants)
    ).fetchall()
    if _find_held(connection, bounds):
        _drop_losers(connection)
        for each in bounds:
            connection.execute(
                f"DELETE FROM ohlcv_1m AS held USING {BATCH} AS batch "  # noqa: S608 (constants)
                f'WHERE held."timestamp" BETWEEN ? AND ? AND {_SAME_KEY}',
                each,
            )
    connection.execute(
        f"INSERT INTO ohlcv_1m BY NAME SELECT * EXCLUDE (trading_day, rank) FROM {BATCH}"  # noqa: S608
    )
    connection.execute(f"DELETE FROM recent_bars AS held USING {BATCH} AS batch WHERE {_SAME_KEY}")  # noqa: S608
    connection.execute(
        f"INSERT INTO recent_bars BY NAME SELECT * EXCLUDE rank, {number}::BIGINT AS sequence FROM {BATCH}"  # noqa: S608 (a number)
    )
    changed = connection.execute(
        f"SELECT trading_day, count(*) FROM {BATCH} GROUP BY trading_day"  # noqa: S608 (constants)
    ).fetchall()
    return dict(changed)


def write_snapshots(connection: duckdb.DuckDBPyConnection, rows: Sequence[SnapshotRow]) -> int:
    """Write the snapshots of a batch that are newer than those of their symbols, and return how many."""
    with registered(connection, "arrived", _SNAPSHOT_TYPES, list(zip(*rows, strict=True))):
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE batch_snapshots_of_symbols AS SELECT arrived.* FROM arrived "
            "LEFT JOIN snapshots AS held USING (symbol) "
            'WHERE held."timestamp" IS NULL OR held."timestamp" <= arrived."timestamp"'
        )
    connection.execute(
        "DELETE FROM snapshots WHERE symbol IN (SELECT symbol FROM batch_snapshots_of_symbols)"
    )
    found = connection.execute("INSERT INTO snapshots BY NAME FROM batch_snapshots_of_symbols").fetchone()
    return int(found[0]) if found else 0


def _find_held(connection: duckdb.DuckDBPyConnection, bounds: Sequence[tuple[int, int]]) -> bool:
    """Collect the rows that the lake has of the batch's minutes; return whether there are any.

    DuckDB skips the row groups outside of the range of a trading day: the cost does not grow with the table.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE held_bars AS FROM ohlcv_1m LIMIT 0")
    for each in bounds:
        connection.execute(
            f"INSERT INTO held_bars FROM ohlcv_1m SEMI JOIN {BATCH} USING ({_LISTED}) "
            'WHERE "timestamp" BETWEEN ? AND ?',
            each,
        )
    found = connection.execute("SELECT count(*) FROM held_bars").fetchone()
    return bool(found and found[0])


def _drop_losers(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the rows of the batch that change nothing, or are outranked."""
    connection.execute(
        f"UPDATE {BATCH} AS batch SET vwap = coalesce(batch.vwap, held.vwap), "  # noqa: S608 (constants)
        "trades = coalesce(batch.trades, held.trades) "
        f"FROM held_bars AS held WHERE {_SAME_KEY} AND {_SAME_PRICES}"
    )
    rank = "CAST(held.source <> 'stream' AS INTEGER)"
    connection.execute(
        f"DELETE FROM {BATCH} AS batch USING held_bars AS held "  # noqa: S608 (constants)
        f"WHERE {_SAME_KEY} AND ({rank} > batch.rank "
        # After a loss of the database, messages come again on top of the bars of files.
        f"OR (batch.rank = 1 AND {rank} = 1 AND batch.received_at < held.received_at) "
        f"OR ({rank} = batch.rank AND {_SAME_PRICES} "
        "AND batch.vwap IS NOT DISTINCT FROM held.vwap AND batch.trades IS NOT DISTINCT FROM held.trades))"
    )
