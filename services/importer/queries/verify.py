"""Compare partitions and days of bars in the database with their Parquet files and the copies of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import duckdb

from gexlake.api.services import PartitionDifference, VerifyRequest, VerifyResponse
from services.importer.bars.comparison import compare_days
from services.importer.bars.days import lock_of
from services.importer.formats import format_of
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.live.chains import chains_query, where
from services.importer.lake.live.partitions import NONE_LIVE
from services.importer.lake.live.stored_batch import ChainFile, LiveHour, LiveUnit
from services.importer.lake.live.tables import CHAIN_SNAPSHOTS, CHAIN_STRIKES
from services.importer.lake.live.units import LiveRows, hour_query, parquet_of
from services.importer.lake.partition_tables import export_query, records_query
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import quoted
from shared.gexbot.partition import Partition
from shared.massive.resources import BARS_ENDPOINT, WHOLE_MARKET
from shared.paths import LakePaths

_MAX_DIFFERENCES: Final = 1000


class Verification:
    """Compares every row of some partitions, hours of webhooks and option chains with their files.

    What has live rows is compared by an export, which calls this object for each: between two exports, the
    tables have more rows.

    Args:
        lake: what is compared.
        request: which partitions; hours only if it names none, option chains only if it names no endpoint.
    """

    def __init__(self, lake: Lake, request: VerifyRequest) -> None:
        self._lake = lake
        self._request = request
        self._checked: set[LiveUnit] = set()
        self._differences: list[PartitionDifference] = []

    def __call__(self, connection: duckdb.DuckDBPyConnection, rows: LiveRows, is_exported: bool) -> None:  # noqa: FBT001
        """Compare a partition, an hour or a file of option chains that has live rows."""
        if self._is_wanted(rows.unit):
            if is_exported:
                problems = _live_problems(connection, self._lake.paths, rows)
            else:
                problems = iter(["its live rows are not exported: it waits for an import or a repair"])
            self._note(rows.unit, problems)

    def compare_others(self) -> VerifyResponse:
        """Compare the partitions without live rows, and return what differs of all.

        Raises:
            StorageTrouble: the database cannot be read.
        """
        with self._lake.reading() as connection:
            for row in partitions.every(connection):
                if row.partition in self._checked or not self._is_wanted(row.partition):
                    continue
                problems = list(_problems(connection, self._lake.paths, row))
                if live_partitions.read(connection, row.partition) == NONE_LIVE:
                    self._note(row.partition, problems)
        self._compare_bars()
        return VerifyResponse(
            checked=len(self._checked),
            differences=tuple(self._differences[:_MAX_DIFFERENCES]),
            truncated=len(self._differences) > _MAX_DIFFERENCES,
        )

    def _compare_bars(self) -> None:
        request = self._request
        if request.ticker in {None, WHOLE_MARKET} and request.endpoint in {None, BARS_ENDPOINT}:
            for day, problem in compare_days(self._lake, request.trading_day):
                self._note(lock_of(day), [problem] if problem else [])

    def _is_wanted(self, unit: LiveUnit) -> bool:
        request = self._request
        if isinstance(unit, LiveHour):
            return request == VerifyRequest()
        if isinstance(unit, ChainFile):
            of_symbol, of_day = request.ticker in {None, unit.symbol}, request.trading_day in {None, unit.day}
            return of_symbol and of_day and request.endpoint is None
        return (
            request.ticker in {None, unit.ticker}
            and request.endpoint in {None, unit.endpoint}
            and request.trading_day in {None, unit.trading_day}
        )

    def _note(self, unit: LiveUnit, problems: Iterable[str]) -> None:
        self._checked.add(unit)
        if isinstance(unit, LiveHour):
            ticker, endpoint, day = "webhooks", unit.table, unit.hour.date()
        elif isinstance(unit, ChainFile):
            ticker, endpoint, day = unit.symbol, CHAIN_SNAPSHOTS, unit.day
        else:
            ticker, endpoint, day = unit.ticker, unit.endpoint, unit.trading_day
        self._differences += [
            PartitionDifference(ticker=ticker, endpoint=endpoint, trading_day=day, problem=problem)
            for problem in problems
        ]


def _problems(connection: duckdb.DuckDBPyConnection, paths: LakePaths, row: PartitionRow) -> Iterator[str]:
    if not row.published:
        yield "its Parquet file is not in place yet"
        return
    yield from _partition_problems(connection, paths, row.partition, row.snapshots)


def _live_problems(connection: duckdb.DuckDBPyConnection, paths: LakePaths, rows: LiveRows) -> Iterator[str]:
    if isinstance(rows.unit, LiveHour):
        query = hour_query(rows.unit)
        yield from _difference(connection, query, paths.webhooks(rows.unit.table, rows.unit.hour))
        found = _count(connection, f"({query})")
        if found != rows.rows:
            yield f"{rows.unit.table} has {found} rows of {rows.unit.hour}, it should have {rows.rows}"
        return
    if isinstance(rows.unit, ChainFile):
        yield from _difference(connection, chains_query(rows.unit), parquet_of(paths, rows.unit))
        for table, expected in {CHAIN_SNAPSHOTS: rows.rows, CHAIN_STRIKES: rows.strike_rows}.items():
            found = _count(connection, f"{table} WHERE {where(rows.unit)}")
            if found != expected:
                yield f"{table} has {found} rows of {rows.unit.day}, it should have {expected}"
        return
    row = partitions.read(connection, rows.unit)
    of_history = row.snapshots if row else 0
    yield from _partition_problems(connection, paths, rows.unit, of_history + rows.rows)


def _partition_problems(
    connection: duckdb.DuckDBPyConnection, paths: LakePaths, partition: Partition, snapshots: int
) -> Iterator[str]:
    form = format_of(partition.endpoint)
    records = paths.records(partition, form.table)
    yield from _difference(connection, export_query(partition), paths.parquet(partition))
    yield from _difference(connection, records_query(partition), records)
    found = _count(connection, f"({records_query(partition)})")
    if found != snapshots:
        yield f"{form.table} has {found} records, the partition should have {snapshots}"


def _difference(connection: duckdb.DuckDBPyConnection, query: str, file: Path) -> Iterator[str]:
    if not file.exists():
        yield f"{file} is missing"
        return
    source = f"read_parquet({quoted(str(file))}, hive_partitioning = false)"
    try:
        with connection.cursor() as beside:  # a damaged file would abort the caller's transaction
            beside.execute(f"SELECT bit_xor(hash(read)) FROM {source} AS read")  # noqa: S608 (quoted)
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
