"""Compare partitions in the database with their Parquet files and the copies of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import duckdb

from gexlake.api.services import PartitionDifference, VerifyRequest, VerifyResponse
from services.importer.formats import format_of
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.partition_tables import export_query, records_query
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import quoted
from shared.paths import LakePaths

_MAX_DIFFERENCES: Final = 1000


def verify(lake: Lake, request: VerifyRequest) -> VerifyResponse:
    """Compare every row of some partitions, and return those that differ.

    Raises:
        StorageTrouble: the database cannot be read.
    """
    checked = 0
    differences: list[PartitionDifference] = []
    with lake.reading() as connection:
        for row in filter(_wanted(request), partitions.every(connection)):
            checked += 1
            differences += [
                PartitionDifference(
                    ticker=row.ticker, endpoint=row.endpoint, trading_day=row.trading_day, problem=problem
                )
                for problem in _problems(connection, lake.paths, row)
            ]
    return VerifyResponse(
        checked=checked,
        differences=tuple(differences[:_MAX_DIFFERENCES]),
        truncated=len(differences) > _MAX_DIFFERENCES,
    )


def _wanted(request: VerifyRequest) -> Callable[[PartitionRow], bool]:
    def wanted(row: PartitionRow) -> bool:
        return (
            request.ticker in {None, row.ticker}
            and request.endpoint in {None, row.endpoint}
            and request.trading_day in {None, row.trading_day}
        )

    return wanted


def _problems(connection: duckdb.DuckDBPyConnection, paths: LakePaths, row: PartitionRow) -> Iterator[str]:
    if not row.published:
        yield "its Parquet file is not in place yet"
        return
    form = format_of(row.endpoint)
    records = paths.records(row.partition, form.table)
    yield from _difference(connection, export_query(row.partition), paths.parquet(row.partition))
    yield from _difference(connection, records_query(row.partition), records)
    found = _count(connection, f"({records_query(row.partition)})")
    if found != row.snapshots:
        yield f"{form.table} has {found} records, the partition should have {row.snapshots}"


def _difference(connection: duckdb.DuckDBPyConnection, query: str, file: Path) -> Iterator[str]:
    if not file.exists():
        yield f"{file} is missing"
        return
    source = f"read_parquet({quoted(str(file))}, hive_partitioning = false)"
    try:
        rows = _count(connection, f"({query})")
        stored = _count(connection, source)
        lacking = _count(connection, f"(({query}) EXCEPT ALL FROM {source})")
    except duckdb.Error as error:
        yield f"{file} cannot be compared: {str(error).splitlines()[0]}"
        return
    if rows != stored or lacking:
        yield f"{file} has {stored} rows, the table has {rows}, of which {lacking} are not in the file"


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {source}").fetchone()  # noqa: S608 (queries of ours)
    return int(row[0]) if row else 0
