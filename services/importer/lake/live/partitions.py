"""The table ``live_partitions``: how many live rows a partition has, and what is to be exported."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final

import duckdb

from services.importer.formats import format_of
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import bounds_ms

_KEY: Final = "ticker = ? AND endpoint = ? AND trading_day = ?"

_REPLACED: Final = "snapshots = ?, strike_rows = ?, exported_sequence = last_sequence"


@dataclass(frozen=True)
class LiveCounts:
    """The live rows of a partition."""

    snapshots: int = 0
    strike_rows: int = 0


NONE_LIVE: Final = LiveCounts()


def read(connection: duckdb.DuckDBPyConnection, partition: Partition) -> LiveCounts:
    """Return how many live rows a partition has."""
    query = f"SELECT snapshots, strike_rows FROM live_partitions WHERE {_KEY}"  # noqa: S608 (a constant)
    found = connection.execute(query, list(astuple(partition))).fetchall()
    return LiveCounts(*found[0]) if found else NONE_LIVE


def count_again(connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """Count the live rows of a partition whose rows were replaced; call it within the transaction.

    Its Parquet file is replaced with the rows, so nothing of it is to be exported: what batches before have
    stored is in the file, or gone.
    """
    counts = _count(connection, partition)
    key = list(astuple(partition))
    known = connection.execute(
        f"UPDATE live_partitions SET {_REPLACED} WHERE {_KEY}",  # noqa: S608 (constants)
        [counts.snapshots, counts.strike_rows, *key],
    ).fetchall()
    if counts != NONE_LIVE and known == [(0,)]:
        connection.execute(
            "INSERT INTO live_partitions VALUES (?, ?, ?, ?, ?, 0, 0)",
            [*key, counts.snapshots, counts.strike_rows],
        )


def _count(connection: duckdb.DuckDBPyConnection, partition: Partition) -> LiveCounts:
    form = format_of(partition.endpoint)
    where = "timestamp >= ? AND timestamp < ? AND ticker = ? AND endpoint = ?"
    of_live = f"FROM {form.table} WHERE {where} AND source = 'live'"
    key: list[int | str] = [*bounds_ms(partition.trading_day), partition.ticker, partition.endpoint]
    snapshots = _scalar(connection, f"SELECT count(*) {of_live}", key)
    if not snapshots or form.rows is None:
        return LiveCounts(snapshots)
    query = (
        f"SELECT count(*) FROM {form.rows.table} "  # noqa: S608 (names of ours)
        f"WHERE {where} AND timestamp IN (SELECT timestamp {of_live})"
    )
    return LiveCounts(snapshots, _scalar(connection, query, key * 2))


def _scalar(connection: duckdb.DuckDBPyConnection, query: str, values: list[int | str]) -> int:
    ((count,),) = connection.execute(query, values).fetchall()
    return int(count)
