"""The rows of a partition in its tables: count, delete, insert, and read them for Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from services.importer.formats import format_of
from services.importer.formats.format import KEY_COLUMNS
from services.importer.lake import partitions
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.live.partitions import NONE_LIVE, LiveCounts
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import quoted
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import bounds_ms

_OF_PARTITION: Final = "timestamp >= ? AND timestamp < ? AND ticker = ? AND endpoint = ?"
"""DuckDB skips the row groups outside the range of timestamps: the cost does not grow with the table."""


@dataclass(frozen=True)
class PartitionContents:
    """The counts and the row of a partition before it is replaced."""

    snapshots: int
    strike_rows: int
    row: PartitionRow | None
    live: LiveCounts = NONE_LIVE
    """How many of them are live."""

    @property
    def history_snapshots(self) -> int:
        """How many snapshots a file has brought in."""
        return self.snapshots - self.live.snapshots

    @property
    def history_strike_rows(self) -> int:
        """How many strike rows a file has brought in."""
        return self.strike_rows - self.live.strike_rows


def contents_of(connection: duckdb.DuckDBPyConnection, partition: Partition) -> PartitionContents:
    """Return the counts and the row of a partition."""
    form = format_of(partition.endpoint)
    snapshots = _count(connection, form.table, partition)
    strike_rows = _count(connection, form.rows.table, partition) if form.rows else 0
    row, live = partitions.read(connection, partition), live_partitions.read(connection, partition)
    return PartitionContents(snapshots, strike_rows, row, live)


def read_rows(connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """Read every value of a partition's rows; DuckDB checks the blocks that it reads.

    Raises:
        duckdb.Error: a block is damaged.
    """
    for table in format_of(partition.endpoint).tables:
        query = f"SELECT bit_xor(hash(held)) FROM {table} AS held WHERE {_OF_PARTITION}"  # noqa: S608
        connection.execute(query, _key(partition)).fetchall()


def delete(connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """Delete a partition's rows."""
    for table in format_of(partition.endpoint).tables:
        connection.execute(f"DELETE FROM {table} WHERE {_OF_PARTITION}", _key(partition))  # noqa: S608


def insert(connection: duckdb.DuckDBPyConnection, row: PartitionRow, records: str, parquet: Path) -> None:
    """Insert the records of a partition, and their rows from its Parquet file.

    Args:
        connection: in a transaction.
        row: the partition.
        records: the view of the records.
        parquet: the partition's Parquet file.
    """
    form = format_of(row.endpoint)
    constants = {**dict(form.constants), "job_id": quoted(row.job_id)}
    fields = [field.stored_as for field in form.fields]
    columns = (*KEY_COLUMNS, *fields, *constants)
    values = ("timestamp_ms", quoted(row.ticker), quoted(row.endpoint), *fields, *constants.values())
    connection.execute(
        f"INSERT INTO {form.table} ({', '.join(columns)}) "  # noqa: S608 (quoted)
        f"SELECT {', '.join(values)} FROM {records} ORDER BY timestamp_ms"
    )
    if form.rows is not None:
        of_rows = ", ".join(form.parquet_columns)
        connection.execute(
            f"INSERT INTO {form.rows.table} ({of_rows}) "  # noqa: S608 (quoted)
            f"SELECT {of_rows} FROM read_parquet({quoted(str(parquet))}, hive_partitioning = false)"
        )


def load(connection: duckdb.DuckDBPyConnection, partition: Partition, records: Path, parquet: Path) -> None:
    """Replace a partition's rows by those of its files; call it within a transaction.

    Args:
        connection: in a transaction.
        partition: which.
        records: the copy of its records.
        parquet: its Parquet file.
    """
    delete(connection, partition)
    form = format_of(partition.endpoint)
    files = {form.table: records, **({form.rows.table: parquet} if form.rows else {})}
    for table, file in files.items():
        connection.execute(
            f"INSERT INTO {table} BY NAME FROM read_parquet({quoted(str(file))}, hive_partitioning = false)"
        )


def export_query(partition: Partition) -> str:
    """Return the query of a partition's Parquet rows as the table holds them."""
    start, end = bounds_ms(partition.trading_day)
    form = format_of(partition.endpoint)
    return f"""
        SELECT {", ".join(form.parquet_columns)} FROM {form.parquet_table}
        WHERE timestamp >= {start} AND timestamp < {end}
            AND ticker = {quoted(partition.ticker)} AND endpoint = {quoted(partition.endpoint)}
        ORDER BY timestamp, rowid
    """  # noqa: S608 (quoted)


def records_query(partition: Partition) -> str:
    """Return the query of a partition's records with all columns of their table."""
    start, end = bounds_ms(partition.trading_day)
    return f"""
        FROM {format_of(partition.endpoint).table}
        WHERE timestamp >= {start} AND timestamp < {end}
            AND ticker = {quoted(partition.ticker)} AND endpoint = {quoted(partition.endpoint)}
        ORDER BY timestamp
    """


def _count(connection: duckdb.DuckDBPyConnection, table: str, partition: Partition) -> int:
    query = f"SELECT count(*) FROM {table} WHERE {_OF_PARTITION}"  # noqa: S608 (a name of ours)
    row = connection.execute(query, _key(partition)).fetchone()
    return int(row[0]) if row else 0


def _key(partition: Partition) -> list[int | str]:
    return [*bounds_ms(partition.trading_day), partition.ticker, partition.endpoint]
