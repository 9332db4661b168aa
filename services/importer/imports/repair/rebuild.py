"""Build what one of the database and the Parquet tree lacks again from the other, one partition at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from gexlake.api.jobs import Status
from services.importer.errors import DamagedPartition
from services.importer.formats import format_of
from services.importer.formats.classic import CLASSIC
from services.importer.imports.command import task_of
from services.importer.imports.recovery import place
from services.importer.imports.replace import complete, replace_partition
from services.importer.imports.staged_file import staged_file
from services.importer.interruption import Interruption
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.live import units as live_units
from services.importer.lake.live.merge import keep_live_rows, merge_kept_rows
from services.importer.lake.live.partitions import NONE_LIVE
from services.importer.lake.parquet import sha256_of
from services.importer.lake.parquet_metadata import LIVE_JOB, Footer, read_footer
from services.importer.lake.partition_tables import PartitionContents, contents_of, load
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.quarantine import is_damage
from services.importer.lake.statements import quoted, transaction
from services.importer.ledger import table
from services.importer.ledger.notes import note_completed
from services.importer.ledger.rows import LedgerRow, with_outcome
from services.importer.limits import ImportLimits
from shared.bus.messages import ImportFile
from shared.gexbot.partition import Partition
from shared.job_states import JobState
from shared.process.disk_space import is_full


def load_partition(lake: Lake, partition: Partition, interruption: Interruption) -> PartitionRow:
    """Load a partition's rows from its Parquet file and the copy of its records.

    Live rows that the database has of it are merged into them.

    Returns:
        The row of the partition; with ``LIVE_JOB``, and in no table, if all that the files have is live.

    Raises:
        DamagedPartition: one of the files is missing or damaged, or they are of different imports.
        StorageTrouble: the disk is full or fails; nothing was changed.
    """
    parquet = lake.paths.parquet(partition)
    records = lake.paths.records(partition, format_of(partition.endpoint).table)
    with lake.writing(interruption) as connection:
        footer, of_records = read_footer(connection, parquet), read_footer(connection, records)
        if footer is None or of_records is None:
            raise DamagedPartition(partition, f"{parquet if footer is None else records} cannot be read")
        if (footer.job_id, footer.source_sha256) != (of_records.job_id, of_records.source_sha256):
            raise DamagedPartition(partition, f"{records} is of another import than {parquet}")
        row = _row(lake, connection, partition, (footer, of_records))
        try:
            with (
                lake.partition_locks.holding([partition]),
                lake.sparing_memory(connection),
                transaction(connection),
            ):
                _load(connection, row, records, parquet)
                _note(connection, lake, row, footer)
        except (duckdb.FatalException, duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error as error:
            if is_damage(error) or is_full(error):
                raise
            raise DamagedPartition(partition, str(error).splitlines()[0]) from error
    lake.refresh_parquet_view()
    return row


def _load(connection: duckdb.DuckDBPyConnection, row: PartitionRow, records: Path, parquet: Path) -> None:
    partition = row.partition
    has_live_rows = format_of(partition.endpoint) is CLASSIC
    if has_live_rows:
        keep_live_rows(connection, partition)
    load(connection, partition, records, parquet)
    live_partitions.count_again(connection, partition)
    found = contents_of(connection, partition)
    if (found.history_snapshots, found.history_strike_rows) != (row.snapshots, row.strike_rows):
        raise DamagedPartition(partition, "its files have rows of another partition")
    if has_live_rows and merge_kept_rows(connection, partition):
        live_partitions.count_again(connection, partition)
        live_units.mark_dirty(connection, [partition])


def _note(connection: duckdb.DuckDBPyConnection, lake: Lake, row: PartitionRow, footer: Footer) -> None:
    if footer.live != NONE_LIVE:
        live_units.note_file(connection, lake.paths, row.partition)
    if footer.job_id != LIVE_JOB:
        partitions.write(connection, row)
        note_completed(connection, row)


def write_partition(lake: Lake, row: PartitionRow, *, clock: Callable[[], datetime]) -> None:
    """Write the Parquet file of a partition, and the copy of its records, from the tables.

    Raises:
        StorageTrouble: the disk is full or fails.
    """
    placed = replace(place(lake, row), updated_at=clock())
    with lake.writing() as connection:
        complete(connection, placed, note_completed)
    lake.refresh_parquet_view()


def import_again(
    lake: Lake,
    state: JobState,
    interruption: Interruption,
    *,
    clock: Callable[[], datetime],
    limits: ImportLimits,
) -> PartitionRow:
    """Import the staged file of a completed job once more.

    Raises:
        Terminal: it is gone, or refused.
        StagedFileReplaced: it is another one by now.
        StorageTrouble: the disk is full or fails; nothing was changed.
    """
    command = ImportFile(
        job=state.job,
        staged_path=state.staged_path or "",
        size_bytes=state.size_bytes or 0,
        sha256=state.sha256 or "",
        modified_ns=0,
        force=True,
    )
    with staged_file(lake.paths, command) as file:
        task = task_of(command, file, limits, interruption)
        return replace_partition(lake, task, clock=clock, notes=_Notes())


class _Notes:
    """Writes the figures of a repeated import into the row of its job, if the ledger has it."""

    def committed(
        self, connection: duckdb.DuckDBPyConnection, row: PartitionRow, replaced: PartitionContents
    ) -> None:
        del replaced
        known = table.read_one(connection, row.job_id)
        if known is not None and known.generation == row.generation:
            table.write(connection, [with_outcome(known, row, Status.COMMITTED, row.updated_at)])

    def completed(self, connection: duckdb.DuckDBPyConnection, row: PartitionRow) -> None:
        note_completed(connection, row)


def _row(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    footers: tuple[Footer, Footer],
) -> PartitionRow:
    """Return the row of a partition, from its files and, as far as they have it, ledger or archive."""
    of_rows, of_records = footers
    parquet = lake.paths.parquet(partition)
    records = lake.paths.records(partition, format_of(partition.endpoint).table)
    first, last = _times(connection, str(records))
    job = table.read_one(connection, of_rows.job_id) or table.read_archived(
        connection, of_rows.job_id, of_rows.source_sha256
    )
    return PartitionRow(
        ticker=partition.ticker,
        endpoint=partition.endpoint,
        trading_day=partition.trading_day,
        job_id=of_rows.job_id,
        checksum=of_rows.source_sha256,
        **_of_ledger(job, of_rows.source_sha256),
        snapshots=of_records.rows - of_records.live.snapshots,
        strike_rows=of_rows.rows - of_rows.live.strike_rows if format_of(partition.endpoint).rows else 0,
        duplicates=0,
        strays=0,
        unknown_records=0,
        unknown_fields=None,
        first_timestamp=first,
        last_timestamp=last,
        parquet_path=lake.paths.relative_to_parquet(parquet),
        parquet_bytes=parquet.stat().st_size,
        parquet_checksum=sha256_of(parquet),
        published=True,
        updated_at=_modified_at(parquet),
    )


def _modified_at(path: Path) -> datetime:
    """Return when a file was written, rounded up: a file that is later than its row is compared again."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) + timedelta(microseconds=1)


def _of_ledger(job: LedgerRow | None, sha256: str) -> dict[str, Any]:
    if job is None or job.checksum != sha256:
        return {"generation": 1, "replaced_checksum": None, "source_bytes": 0}
    return {
        "generation": job.generation,
        "replaced_checksum": job.replaced_checksum,
        "source_bytes": job.bytes or 0,
    }


def _times(connection: duckdb.DuckDBPyConnection, records: str) -> tuple[int, int]:
    query = f"SELECT min(timestamp), max(timestamp) FROM read_parquet({quoted(records)})"  # noqa: S608 (quoted)
    row = connection.execute(query).fetchone()
    return (int(row[0] or 0), int(row[1] or 0)) if row else (0, 0)
