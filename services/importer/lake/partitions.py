"""The table ``partitions``: the counts, the origin and the Parquet file of each partition."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from typing import Any, Final

import duckdb

from shared.gexbot.partition import Partition


@dataclass(frozen=True)
class PartitionRow:
    """One row, its fields named and ordered as the table's columns; paths are below the Parquet folder."""

    ticker: str
    endpoint: str
    trading_day: date
    job_id: str
    generation: int
    checksum: str
    replaced_checksum: str | None
    source_bytes: int
    snapshots: int
    strike_rows: int
    duplicates: int
    """Records of the file that were dropped because an earlier one had the same timestamp."""
    strays: int
    """Records of the file that were dropped because they are of another day."""
    unknown_records: int
    """Records of the file with fields that its format does not know."""
    unknown_fields: str | None
    first_timestamp: int
    last_timestamp: int
    parquet_path: str
    parquet_bytes: int
    parquet_checksum: str
    published: bool
    """Whether the Parquet file has been renamed into place since the rows were committed."""
    updated_at: datetime

    @property
    def partition(self) -> Partition:
        """Its key."""
        return Partition(self.ticker, self.endpoint, self.trading_day)


COLUMNS: Final = ", ".join(field.name for field in fields(PartitionRow))
_PLACES: Final = ", ".join("?" for _ in fields(PartitionRow))
_KEY: Final = "ticker = ? AND endpoint = ? AND trading_day = ?"


def read(connection: duckdb.DuckDBPyConnection, partition: Partition) -> PartitionRow | None:
    """Return the row of a partition, or None if there is none."""
    return next(iter(_select(connection, f"WHERE {_KEY}", list(astuple(partition)))), None)


def of_checksum(
    connection: duckdb.DuckDBPyConnection, ticker: str, endpoint: str, checksum: str
) -> list[PartitionRow]:
    """Return the partitions of a ticker and endpoint that hold the file with a checksum."""
    return _select(
        connection, "WHERE ticker = ? AND endpoint = ? AND checksum = ?", [ticker, endpoint, checksum]
    )


def unpublished(connection: duckdb.DuckDBPyConnection) -> list[PartitionRow]:
    """Return the partitions whose rows are committed and whose Parquet file may be the old one."""
    return _select(connection, "WHERE NOT published", [])


def every(connection: duckdb.DuckDBPyConnection) -> list[PartitionRow]:
    """Return all partitions, in the order of their keys."""
    return _select(connection, "ORDER BY ticker, endpoint, trading_day", [])


def published(connection: duckdb.DuckDBPyConnection) -> list[PartitionRow]:
    """Return the partitions whose Parquet files are in place."""
    return _select(connection, "WHERE published", [])


def remove(connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """Remove the row of a partition."""
    connection.execute(f"DELETE FROM partitions WHERE {_KEY}", list(astuple(partition)))  # noqa: S608


def write(connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
    """Write a row in place of the one of the same partition; call it within a transaction."""
    remove(connection, row.partition)
    connection.execute(
        f"INSERT INTO partitions ({COLUMNS}) VALUES ({_PLACES})",  # noqa: S608 (constants)
        list(astuple(row)),
    )


def set_file(
    connection: duckdb.DuckDBPyConnection, partition: Partition, parquet_bytes: int, parquet_checksum: str
) -> None:
    """Note the Parquet file that a partition has now, if it has a row; call it within a transaction."""
    connection.execute(
        f"UPDATE partitions SET parquet_bytes = ?, parquet_checksum = ? WHERE {_KEY}",  # noqa: S608
        [parquet_bytes, parquet_checksum, *astuple(partition)],
    )


def _select(connection: duckdb.DuckDBPyConnection, where: str, values: list[Any]) -> list[PartitionRow]:
    found = connection.execute(f"SELECT {COLUMNS} FROM partitions {where}", values).fetchall()  # noqa: S608
    return [PartitionRow(*row) for row in found]
