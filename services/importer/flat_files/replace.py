"""Import a flat file into its trading day: all of it, in the tables and in Parquet, or nothing.

The day's Parquet file is written within the transaction, under a hidden name; then the transaction commits,
with the ledger at ``committed``; then the file is renamed into place; then the ledger is set to
``completed``. ``recovery`` does the last two after a crash between them. The day is locked for batches of
CHRONOX and for exports as long as that takes; those of other days go on.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final

import duckdb
import structlog

from services.importer.bars import complete_days, days
from services.importer.bars.complete_days import CompleteDays
from services.importer.bars.days import BarDay
from services.importer.bars.export import metadata_of_day, query_of_day
from services.importer.bars.load import load_day
from services.importer.errors import WorseData
from services.importer.flat_files import merge, table
from services.importer.flat_files.content import unpacked
from services.importer.flat_files.staging import Staged, stage
from services.importer.flat_files.table import FlatFileRow
from services.importer.interruption import Interruption
from services.importer.lake.database import Lake
from services.importer.lake.parquet import ParquetFile, hidden_parquet
from services.importer.lake.partition_tables import PartitionContents
from services.importer.lake.scratch import scratch_folder
from services.importer.lake.statements import transaction
from services.importer.ledger.notes import LedgerNotes, note_completed
from services.importer.limits import ImportLimits
from services.importer.reader.source import OpenFile
from shared.bus.messages import ImportFile
from shared.massive.bars import BarSource
from shared.process.durable_files import rename_durably
from shared.process.failpoints import failpoint

log = structlog.get_logger(__name__)

_SOURCE: Final = BarSource.FLAT_FILE.value
_NOTHING: Final = PartitionContents(0, 0, None)


@dataclass(frozen=True)
class FlatFileTask:
    """One import.

    Args:
        file: the staged file, held open.
        command: what to import.
        day: the trading day.
        symbols: for which the day is imported then; None for all that the file has.
        added: for which of them it is imported now; None for all that the file has.
        replaced: the row of the day's import before, if there was one.
        limits: the rules.
        now: the time.
        interruption: ends the work from another thread.
    """

    file: OpenFile
    command: ImportFile
    day: date
    symbols: Collection[str] | None
    added: Collection[str] | None
    replaced: FlatFileRow | None
    limits: ImportLimits
    now: datetime
    interruption: Interruption


def import_day(lake: Lake, task: FlatFileTask) -> FlatFileRow:
    """Import a flat file and return the new row of its day.

    Raises:
        UnreadableFile: it is not a flat file.
        BadFlatFile: too many rows are no correct bars.
        WorseData: it has too few bars.
        StorageTrouble: the disk is full or fails; nothing was changed.
    """
    load_day(lake, task.day)  # or its file would be replaced by one with the rows of this import alone
    with lake.writing(task.interruption) as connection, scratch_folder(lake.paths.scratch) as folder:
        staged = _staged(connection, task, folder)
        with lake.partition_locks.holding([days.lock_of(task.day)]):
            return _Import(lake, task, connection, staged).execute()


def _staged(connection: duckdb.DuckDBPyConnection, task: FlatFileTask, folder: Path) -> Staged:
    text = unpacked(task.file, folder, task.interruption, task.limits.max_file_bytes)
    staged = stage(connection, task.file.name, text, task.day, task.limits.max_rejected_share)
    text.path.unlink()
    if text.unknown:
        log.info("unknown_columns", file=task.file.name, columns=text.unknown)
    return staged


class _Import:
    """One import, its rows staged and its day locked."""

    def __init__(
        self, lake: Lake, task: FlatFileTask, connection: duckdb.DuckDBPyConnection, staged: Staged
    ) -> None:
        self._lake = lake
        self._task = task
        self._connection = connection
        self._staged = staged

    def execute(self) -> FlatFileRow:
        """Write the rows and the day's file."""
        task, connection, lake = self._task, self._connection, self._lake
        bars, symbols = merge.select_wanted(connection, task.symbols)
        is_first = merge.is_empty(connection, task.day)
        if is_first:
            merge.take_all(connection, task.now)
        else:
            new, _ = merge.select_wanted(connection, task.added)
            self._refuse_worse(new, merge.compare(connection, task.day, task.added, task.now))
        final = lake.paths.bars(task.day)
        with ExitStack() as stack:
            with transaction(connection):
                if not is_first:
                    merge.replace_changed(connection, task.day)
                day = self._write_days()
                query = f"FROM {merge.MERGED}" if is_first else query_of_day(task.day)
                metadata = metadata_of_day(connection, task.day)
                owner = str(task.command.job.job_id)
                written = hidden_parquet(connection, query, final, owner, metadata)
                file = stack.enter_context(written)
                if is_first:
                    merge.insert_file(connection, file.path)
                row = self._row(bars, symbols, file)
                self._note(row)
                failpoint("importer.loaded")
            failpoint("importer.committed")
            rename_durably(file.path, final)
            failpoint("importer.parquet_renamed")
        return complete(connection, row, day)

    def _refuse_worse(self, new: int, held: int) -> None:
        share = 0.0 if self._task.command.force else self._task.limits.min_share
        if new < share * held:
            raise WorseData(days.lock_of(self._task.day), "bars", new, held, share)

    def _write_days(self) -> BarDay:
        """Write that the day has bars and is complete for the symbols; return it, its file outdated."""
        task, connection = self._task, self._connection
        days.add_loaded(connection, task.day)
        days.mark_outdated(connection, [task.day])
        day = days.every(connection)[task.day]
        symbols = merge.symbols_of_wanted(connection) if task.added is None else task.added
        answers = (CompleteDays(symbol, _SOURCE, task.now, task.day, task.day) for symbol in symbols)
        complete_days.write(connection, answers, day.last)
        return day

    def _note(self, row: FlatFileRow) -> None:
        before = self._task.replaced
        replaced = PartitionContents(before.bars, 0, before.as_partition) if before else _NOTHING
        table.write(self._connection, row)
        LedgerNotes(self._task.command).committed(self._connection, row.as_partition, replaced)
        self._connection.execute(
            "UPDATE gex_history_queue SET counts = ? WHERE id = ? AND generation = ?",
            [row.counts_text, row.job_id, row.generation],
        )

    def _row(self, bars: int, symbols: int, file: ParquetFile) -> FlatFileRow:
        task, staged = self._task, self._staged
        return FlatFileRow(
            trading_day=task.day,
            job_id=str(task.command.job.job_id),
            generation=task.command.job.generation,
            checksum=task.command.sha256,
            replaced_checksum=task.replaced.checksum if task.replaced else None,
            source_bytes=task.command.size_bytes,
            symbols=None if task.symbols is None else tuple(sorted(task.symbols)),
            bars=bars,
            symbols_with_bars=symbols,
            rejected=staged.rejected,
            duplicates=staged.duplicates,
            reasons=staged.reasons,
            parquet_path=self._lake.paths.relative_to_parquet(self._lake.paths.bars(task.day)),
            parquet_bytes=file.size_bytes,
            parquet_checksum=file.sha256,
            published=False,
            updated_at=task.now,
        )


def complete(connection: duckdb.DuckDBPyConnection, row: FlatFileRow, day: BarDay) -> FlatFileRow:
    """Record that a day's Parquet file is in place, in one transaction.

    Args:
        connection: without a transaction.
        row: of the import.
        day: whose rows the file has.
    """
    published = replace(row, published=True)
    with transaction(connection):
        days.mark_exported(connection, day)
        table.write(connection, published)
        note_completed(connection, published.as_partition)
    failpoint("importer.completed")
    return published
