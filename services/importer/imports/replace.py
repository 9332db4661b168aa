"""Replace a partition by a staged file: all of it, in the tables and in Parquet, or nothing.

The Parquet file is written under a hidden name first, and the table's rows are inserted from it, so that both
are the same by construction and a full disk is met before anything changes. Then the transaction
commits, with the ledger at ``committed``; then the file is renamed into place; then the ledger says
``completed``. A process that dies between the last two is caught up with by ``recovery``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb

from services.importer.errors import UnreadableFile, WorseData
from services.importer.imports.plain_file import plain_file
from services.importer.imports.selection import Heads, drop_heads, load_heads
from services.importer.imports.task import ImportTask
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.parquet import ParquetFile, hidden_parquet
from services.importer.lake.parquet_metadata import metadata_of
from services.importer.lake.partition_tables import Held, delete, held_by, insert
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.scratch import scratch_folder
from services.importer.lake.statements import quoted, transaction
from services.importer.reader.arrow_stream import StagedTables, error_of
from services.importer.reader.diagnosis import find_fault
from services.importer.rows_duckdb import parquet_query, unsorted_query
from shared.gexbot.partition import Partition
from shared.process.durable_files import rename_durably
from shared.process.failpoints import failpoint


class Notes(Protocol):
    """What else is written in the same transactions: the ledger."""

    def committed(self, connection: duckdb.DuckDBPyConnection, row: PartitionRow, held: Held) -> None:
        """Note that the rows are in the tables."""

    def completed(self, connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
        """Note that the Parquet file is in place, too."""


def replace_partition(
    lake: Lake, source: ImportTask, *, clock: Callable[[], datetime], notes: Notes
) -> PartitionRow:
    """Replace a partition by a staged file and return what it holds now.

    Args:
        lake: where.
        source: the file, and what it is held to.
        clock: the present moment.
        notes: takes note of the commit and of the end.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: the file is no JSON of the vendor's form.
        WorseData: it has too few snapshots or strike rows.
        StorageTrouble: the disk is full or fails; the partition is as it was.
    """
    with lake.writing(source.interruption) as connection, scratch_folder(lake.paths.scratch) as folder:
        path = _plain(source, folder)
        batch_rows = lake.import_path(source.size_bytes).batch_rows
        replacement = _Replacement(lake, source, clock, notes, connection, folder)
        try:
            with StagedTables(connection, source, path, batch_rows=batch_rows) as tables:
                row = replacement.carried_out(tables)
        except duckdb.InvalidInputException as error:
            raise error_of(source, error) from error
    lake.refresh_parquet_view()
    return row


def _plain(source: ImportTask, folder: Path) -> Path:
    try:
        return plain_file(source.file, folder, source.interruption)
    except UnreadableFile as error:
        raise find_fault(source) or error from error


class _Replacement:
    """The replacement of one partition, up to its end."""

    def __init__(
        self,
        lake: Lake,
        source: ImportTask,
        clock: Callable[[], datetime],
        notes: Notes,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
    ) -> None:
        self._lake = lake
        self._source = source
        self._clock = clock
        self._notes = notes
        self._connection = connection
        self._folder = folder

    def carried_out(self, tables: StagedTables) -> PartitionRow:
        """Replace the partition by what the staged tables hold.

        Raises:
            duckdb.InvalidInputException: the file is not what the format says.
        """
        source, connection = self._source, self._connection
        try:
            heads = load_heads(connection, source, self._folder)
            partition = Partition(source.ticker, source.endpoint, heads.trading_day)
            held = held_by(connection, partition)
            self._refuse_worse(partition, "snapshots", heads.records, held.snapshots)
            if source.format.rows is not None:
                tables.add_rows(heads.kept)
            query = parquet_query(source, self._spilled(heads))
            final = self._lake.paths.parquet(partition)
            metadata = metadata_of(partition, source.job_id, source.sha256)
            with hidden_parquet(connection, query, final, source.job_id, metadata) as file:
                row = self._row(heads, file, held)
                self._refuse_worse(partition, "strikes", row.strike_rows, held.strike_rows)
                self._commit(row, file, held)
                rename_durably(file.path, final)
                failpoint("importer.parquet_renamed")
            row = replace(row, updated_at=self._clock())
            return complete(connection, row, self._notes.completed)
        finally:
            drop_heads(connection)

    def _refuse_worse(self, partition: Partition, field: str, new: int, held: int) -> None:
        share = self._source.min_share
        if new < share * held:
            raise WorseData(partition, field, new, held, share)

    def _spilled(self, heads: Heads) -> Path | None:
        """Write rows that are not in the order of time where they can be sorted from."""
        query = unsorted_query(self._source, heads)
        if query is None:
            return None
        path = self._folder / "unsorted.parquet"
        self._connection.execute(f"COPY ({query}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION lz4)")
        return path

    def _commit(self, row: PartitionRow, file: ParquetFile, held: Held) -> None:
        with self._lake.sparing_memory(self._connection), transaction(self._connection):
            delete(self._connection, row.partition)
            insert(self._connection, row, file.path)
            partitions.write(self._connection, row)
            self._notes.committed(self._connection, row, held)
            failpoint("importer.loaded")
        failpoint("importer.committed")

    def _row(self, heads: Heads, file: ParquetFile, held: Held) -> PartitionRow:
        source = self._source
        partition = Partition(source.ticker, source.endpoint, heads.trading_day)
        return PartitionRow(
            ticker=source.ticker,
            endpoint=source.endpoint,
            trading_day=heads.trading_day,
            job_id=source.job_id,
            generation=source.generation,
            checksum=source.sha256,
            replaced_checksum=held.row.checksum if held.row else None,
            source_bytes=source.size_bytes,
            snapshots=heads.records,
            strike_rows=file.rows if source.format.rows else 0,
            duplicates=heads.duplicates,
            strays=heads.strays,
            unknown_records=heads.unknown_records,
            unknown_fields=", ".join(heads.unknown_fields) or None,
            first_timestamp=heads.first_ms,
            last_timestamp=heads.last_ms,
            parquet_path=self._lake.paths.relative_to_parquet(self._lake.paths.parquet(partition)),
            parquet_bytes=file.size_bytes,
            parquet_checksum=file.sha256,
            published=False,
            updated_at=self._clock(),
        )


def complete(
    connection: duckdb.DuckDBPyConnection,
    row: PartitionRow,
    note: Callable[[duckdb.DuckDBPyConnection, PartitionRow], None],
) -> PartitionRow:
    """Record that a partition's Parquet file is in place, together with what is to be noted of it."""
    published = replace(row, published=True)
    with transaction(connection):
        partitions.write(connection, published)
        note(connection, published)
    failpoint("importer.completed")
    return published
