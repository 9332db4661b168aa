"""Replace a partition by a staged file: all of it, in the tables and in Parquet, or nothing.

The Parquet file is written first, under a hidden name, and the table's rows are inserted from it, so that
both are the same by construction and a full disk fails the import before anything changes. Then the
transaction commits, with the ledger at ``committed``; then the file is renamed into place; then the ledger
is set to ``completed``. ``recovery`` does the last two after a crash between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import duckdb

from services.importer.errors import WorseData
from services.importer.imports.plain_file import plain_file
from services.importer.imports.selection import (
    SELECTED,
    Selection,
    drop_selection,
    parquet_query,
    select_records,
    unsorted_query,
)
from services.importer.imports.task import ImportTask
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.parquet import ParquetFile, hidden_parquet
from services.importer.lake.parquet_metadata import metadata_of
from services.importer.lake.partition_tables import PartitionContents, contents_of, delete, insert
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.records import place_records
from services.importer.lake.scratch import scratch_folder
from services.importer.lake.statements import quoted, transaction
from services.importer.reader.arrow_stream import StagedTables, check_beginning, error_of
from shared.gexbot.partition import Partition
from shared.process.durable_files import rename_durably
from shared.process.failpoints import failpoint


class Notes(Protocol):
    """Writes the ledger in the same transactions."""

    def committed(
        self, connection: duckdb.DuckDBPyConnection, row: PartitionRow, replaced: PartitionContents
    ) -> None:
        """Note that the rows are in the tables."""

    def completed(self, connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
        """Note that the Parquet file is in place, too."""


def replace_partition(
    lake: Lake, task: ImportTask, *, clock: Callable[[], datetime], notes: Notes
) -> PartitionRow:
    """Replace a partition by a staged file and return its new row.

    Args:
        lake: where.
        task: the file, and the rules for it.
        clock: returns the time.
        notes: records the commit and the completion.

    Raises:
        BadRecord: a record breaks a rule.
        UnreadableFile: the file is not JSON of the vendor's form.
        WorseData: it has too few snapshots or strike rows.
        StorageTrouble: the disk is full or fails; the partition is as it was.
    """
    with lake.writing(task.interruption) as connection, scratch_folder(lake.paths.scratch) as folder:
        check = partial(check_beginning, connection, task)
        path = plain_file(task.file, folder, task.interruption, task.max_plain_bytes, check)
        batch_rows = lake.memory.batch_rows(task.size_bytes)
        replacement = _Replacement(lake, task, clock, notes, connection, folder)
        try:
            with StagedTables(connection, task, path, batch_rows=batch_rows) as tables:
                row = replacement.execute(tables)
        except duckdb.InvalidInputException as error:
            raise error_of(task, path, error) from error
    lake.refresh_parquet_view()
    return row


class _Replacement:
    """The replacement of one partition."""

    def __init__(
        self,
        lake: Lake,
        task: ImportTask,
        clock: Callable[[], datetime],
        notes: Notes,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
    ) -> None:
        self._lake = lake
        self._task = task
        self._clock = clock
        self._notes = notes
        self._connection = connection
        self._folder = folder

    def execute(self, tables: StagedTables) -> PartitionRow:
        """Replace the partition by what the staged tables hold.

        Raises:
            duckdb.InvalidInputException: the file does not have its format.
        """
        task, connection = self._task, self._connection
        try:
            selection = select_records(connection, task, self._folder)
            partition = Partition(task.ticker, task.endpoint, selection.trading_day)
            replaced = contents_of(connection, partition)
            self._refuse_worse(partition, "snapshots", selection.records, replaced.history_snapshots)
            if task.format.rows is not None:
                tables.add_rows(selection.kept)
            query = parquet_query(task, self._spilled(selection))
            final = self._lake.paths.parquet(partition)
            metadata = metadata_of(partition, task.job_id, task.sha256)
            with hidden_parquet(connection, query, final, task.job_id, metadata) as file:
                row = self._row(selection, file, replaced)
                self._refuse_worse(partition, "strikes", row.strike_rows, replaced.history_strike_rows)
                self._commit(row, file, replaced)
                rename_durably(file.path, final)
                failpoint("importer.parquet_renamed")
            place_records(connection, self._lake.paths, row)
            failpoint("importer.records_placed")
            row = replace(row, updated_at=self._clock())
            return complete(connection, row, self._notes.completed)
        finally:
            drop_selection(connection)

    def _refuse_worse(self, partition: Partition, field: str, new: int, held: int) -> None:
        share = self._task.min_share
        if new < share * held:
            raise WorseData(partition, field, new, held, share)

    def _spilled(self, selection: Selection) -> Path | None:
        """Write rows that are not in the order of time to a file, from which they are sorted."""
        query = unsorted_query(self._task, selection)
        if query is None:
            return None
        path = self._folder / "unsorted.parquet"
        self._connection.execute(f"COPY ({query}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION lz4)")
        return path

    def _commit(self, row: PartitionRow, file: ParquetFile, replaced: PartitionContents) -> None:
        with (
            self._lake.partition_locks.holding([row.partition]),
            self._lake.sparing_memory(self._connection),
            transaction(self._connection),
        ):
            delete(self._connection, row.partition)
            insert(self._connection, row, SELECTED, file.path)
            partitions.write(self._connection, row)
            live_partitions.count_again(self._connection, row.partition)
            self._notes.committed(self._connection, row, replaced)
            failpoint("importer.loaded")
        failpoint("importer.committed")

    def _row(self, selection: Selection, file: ParquetFile, replaced: PartitionContents) -> PartitionRow:
        task = self._task
        partition = Partition(task.ticker, task.endpoint, selection.trading_day)
        return PartitionRow(
            ticker=task.ticker,
            endpoint=task.endpoint,
            trading_day=selection.trading_day,
            job_id=task.job_id,
            generation=task.generation,
            checksum=task.sha256,
            replaced_checksum=replaced.row.checksum if replaced.row else None,
            source_bytes=task.size_bytes,
            snapshots=selection.records,
            strike_rows=file.rows if task.format.rows else 0,
            duplicates=selection.duplicates,
            strays=selection.out_of_day,
            unknown_records=selection.unknown_records,
            unknown_fields=", ".join(selection.unknown_fields) or None,
            first_timestamp=selection.first_ms,
            last_timestamp=selection.last_ms,
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
    """Record that a partition's Parquet file is in place, and note it, in one transaction."""
    published = replace(row, published=True)
    with transaction(connection):
        partitions.write(connection, published)
        note(connection, published)
    failpoint("importer.completed")
    return published
