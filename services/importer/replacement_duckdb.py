"""Replace a partition by a staged file: all of it, in the table and in Parquet, or nothing.

The Parquet file is written under a hidden name first, and the table's strike rows are inserted from it, so
that both are the same by construction and a full disk is met before anything changes. Then the transaction
commits, with the ledger at ``committed``; then the file is renamed into place; then the ledger says
``completed``. A process that dies between the last two is caught up with by ``recovery``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from services.importer import ledger_duckdb as ledger
from services.importer import partitions_duckdb as partitions
from services.importer.errors import WorseData
from services.importer.history_format import SNAPSHOT_COLUMNS, STRIKE_COLUMNS
from services.importer.lake_duckdb import Lake, quoted, transaction
from services.importer.parquet_duckdb import ParquetFile, hidden_parquet, put_in_place
from services.importer.partitions_duckdb import PartitionRow
from services.importer.staging_duckdb import TABLE, Staged, fault, staged_records
from shared.failpoints import failpoint
from shared.job_states import Status
from shared.messages import ImportFile
from shared.partition import Partition
from shared.trading_day import bounds_ms

_OF_PARTITION: Final = "timestamp >= ? AND timestamp < ? AND ticker = ? AND endpoint = ?"


@dataclass(frozen=True)
class Replacer:
    """Replaces partitions of one lake."""

    lake: Lake
    clock: Callable[[], datetime]
    min_snapshot_share: float

    def replace(self, command: ImportFile, path: Path) -> PartitionRow:
        """Replace a partition by the staged file at ``path`` and return what it holds now.

        Raises:
            BadRecord: a record breaks a rule.
            UnreadableFile: the file is no JSON of the vendor's form.
            WorseData: it has too few snapshots and is not forced.
            StorageTrouble: the disk is full or fails; the partition is as it was.
        """
        job = command.job
        with (
            self.lake.writing() as connection,
            staged_records(connection, path, job.ticker, job.trading_day) as staged,
        ):
            partition = Partition(job.ticker, job.endpoint, staged.trading_day)
            final = self.lake.paths.parquet(partition)
            held = _count(connection, partition)
            self._refuse_worse(command, partition, staged.snapshots, held[0])
            with hidden_parquet(
                connection, _strikes_query(job.ticker, job.endpoint), final, str(job.job_id)
            ) as file:
                if _has_bad_numbers(connection, file):
                    raise fault(path, job.ticker, staged.trading_day)
                row = self._row(connection, command, partition, staged, file)
                self._commit(connection, command, row, file, held)
                put_in_place(file, final)
                failpoint("importer.parquet_renamed")
            row = complete(connection, row, self.clock())
        self.lake.refresh_parquet_view()
        return row

    def _refuse_worse(self, command: ImportFile, partition: Partition, new: int, held: int) -> None:
        if not command.force and new < self.min_snapshot_share * held:
            raise WorseData(partition, new, held, self.min_snapshot_share)

    def _row(
        self,
        connection: duckdb.DuckDBPyConnection,
        command: ImportFile,
        partition: Partition,
        staged: Staged,
        file: ParquetFile,
    ) -> PartitionRow:
        before = partitions.read(connection, partition)
        return PartitionRow(
            ticker=partition.ticker,
            endpoint=partition.endpoint,
            trading_day=partition.trading_day,
            job_id=str(command.job.job_id),
            generation=command.job.generation,
            checksum=command.sha256,
            replaced_checksum=before.checksum if before else None,
            source_bytes=command.size_bytes,
            snapshots=staged.snapshots,
            strike_rows=file.rows,
            first_timestamp=staged.first_ms,
            last_timestamp=staged.last_ms,
            parquet_path=self.lake.paths.relative_to_parquet(self.lake.paths.parquet(partition)),
            parquet_bytes=file.size_bytes,
            parquet_checksum=file.sha256,
            published=False,
            updated_at=self.clock(),
        )

    def _commit(
        self,
        connection: duckdb.DuckDBPyConnection,
        command: ImportFile,
        row: PartitionRow,
        file: ParquetFile,
        held: tuple[int, int],
    ) -> None:
        before = partitions.read(connection, row.partition)
        with transaction(connection):
            _delete(connection, row.partition)
            connection.execute(_insert_snapshots(row))
            connection.execute(
                f"INSERT INTO gex_strikes ({', '.join(STRIKE_COLUMNS)}) SELECT {', '.join(STRIKE_COLUMNS)} "  # noqa: S608
                f"FROM read_parquet({quoted(str(file.path))})"
            )
            partitions.write(connection, row)
            ledger.write(connection, [self._ledger_row(connection, command, row, before, held)])
            failpoint("importer.loaded")
        failpoint("importer.committed")

    def _ledger_row(
        self,
        connection: duckdb.DuckDBPyConnection,
        command: ImportFile,
        row: PartitionRow,
        before: PartitionRow | None,
        held: tuple[int, int],
    ) -> ledger.LedgerRow:
        now = self.clock()
        known = ledger.read(connection, [command.job.job_id]).get(row.job_id)
        current = ledger.of_generation(known, command.job, now) or ledger.fresh(command.job, now)
        return replace(
            current,
            trading_day=row.trading_day,
            status=Status.COMMITTED,
            last_error=None,
            checksum=row.checksum,
            bytes=row.source_bytes,
            records_processed=row.snapshots,
            strike_rows=row.strike_rows,
            parquet_path=row.parquet_path,
            parquet_checksum=row.parquet_checksum,
            replaced_checksum=row.replaced_checksum,
            replaced_records=held[0] if before else None,
            replaced_strike_rows=held[1] if before else None,
            reason=command.reason,
            correction_of=before.job_id if before and command.force else None,
            updated_at=now,
        )


def complete(connection: duckdb.DuckDBPyConnection, row: PartitionRow, now: datetime) -> PartitionRow:
    """Record that a partition's Parquet file is in place, and its job completed."""
    published = replace(row, published=True)
    known = ledger.read(connection, [row.job_id]).get(row.job_id)
    with transaction(connection):
        partitions.write(connection, published)
        if known is not None and known.status is Status.COMMITTED:
            ledger.write(
                connection,
                [
                    replace(
                        known,
                        status=Status.COMPLETED,
                        parquet_path=row.parquet_path,
                        parquet_checksum=row.parquet_checksum,
                        updated_at=now,
                    )
                ],
            )
    failpoint("importer.completed")
    return published


def export_query(partition: Partition) -> str:
    """Return the query of a partition's strike rows as the table holds them."""
    start, end = bounds_ms(partition.trading_day)
    return f"""
        SELECT {", ".join(STRIKE_COLUMNS)} FROM gex_strikes
        WHERE timestamp >= {start} AND timestamp < {end}
            AND ticker = {quoted(partition.ticker)} AND endpoint = {quoted(partition.endpoint)}
        ORDER BY timestamp
    """  # noqa: S608 (quoted)


def _strikes_query(ticker: str, endpoint: str) -> str:
    columns = _expressions(STRIKE_COLUMNS, ticker=ticker, endpoint=endpoint)
    return f"SELECT {columns} FROM (SELECT timestamp_ms, unnest(strikes) AS strike FROM {TABLE})"  # noqa: S608


def _has_bad_numbers(connection: duckdb.DuckDBPyConnection, file: ParquetFile) -> bool:
    """Tell whether a strike is null, or a figure is no finite number."""
    finite = " AND ".join(f"coalesce(isfinite({name}), true)" for name in ("gamma", "oi_gamma"))
    found = connection.execute(
        f"SELECT 1 FROM read_parquet({quoted(str(file.path))}) "  # noqa: S608 (quoted)
        f"WHERE strike IS NULL OR NOT isfinite(strike) OR NOT ({finite}) LIMIT 1"
    ).fetchone()
    return found is not None


def _insert_snapshots(row: PartitionRow) -> str:
    columns = _expressions(SNAPSHOT_COLUMNS, ticker=row.ticker, endpoint=row.endpoint, job_id=row.job_id)
    return f"INSERT INTO gex_snapshots ({', '.join(SNAPSHOT_COLUMNS)}) SELECT {columns} FROM {TABLE}"  # noqa: S608


def _expressions(columns: dict[str, str], **values: str) -> str:
    """Return a select list with the named values written in as literals."""
    text = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    for name, value in values.items():
        text = text.replace(f"${name}", quoted(value))
    return text


def _delete(connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    for table in ("gex_snapshots", "gex_strikes"):
        connection.execute(f"DELETE FROM {table} WHERE {_OF_PARTITION}", _key(partition))  # noqa: S608


def _count(connection: duckdb.DuckDBPyConnection, partition: Partition) -> tuple[int, int]:
    """Return how many snapshots and strike rows a partition holds."""
    counts = [
        connection.execute(f"SELECT count(*) FROM {table} WHERE {_OF_PARTITION}", _key(partition)).fetchone()  # noqa: S608
        for table in ("gex_snapshots", "gex_strikes")
    ]
    snapshots, strikes = (int(count[0]) if count else 0 for count in counts)
    return snapshots, strikes


def _key(partition: Partition) -> list[int | str]:
    return [*bounds_ms(partition.trading_day), partition.ticker, partition.endpoint]
