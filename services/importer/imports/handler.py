"""Handle an import command: import the staged file, or skip it if the lake already holds its content."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

import duckdb
import structlog

from gexlake.api.jobs import Status
from services.importer.errors import StorageTrouble
from services.importer.imports.command import task_of
from services.importer.imports.recovery import finish_committed
from services.importer.imports.repair.service import Repair
from services.importer.imports.replace import replace_partition
from services.importer.imports.staged_file import staged_file
from services.importer.interruption import Interruption
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.parquet import is_present
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.statements import transaction
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger import table
from services.importer.ledger.events import event_of, imported, skipped
from services.importer.ledger.notes import LedgerNotes
from services.importer.ledger.rows import LedgerRow, of_generation, with_outcome
from services.importer.limits import ImportLimits
from shared.bus.connection import Bus
from shared.bus.messages import FileStaged, ImportFile, Job, JobSkipped, PartitionImported
from shared.gexbot.partition import Partition
from shared.process.failpoints import failpoint

_DONE: Final = frozenset({Status.COMMITTED, Status.COMPLETED, Status.SKIPPED})
log = structlog.get_logger(__name__)


async def import_file(
    command: ImportFile,
    *,
    bus: Bus,
    lake: Lake,
    writer: WriterThread,
    limits: ImportLimits,
    timeout_s: float,
    repair: Repair | None = None,
    after_import: Callable[[Partition], Awaitable[None]] | None = None,
) -> None:
    """Import a staged file and publish the outcome.

    Args:
        command: what to import.
        bus: where the outcome is published.
        lake: where the file is imported.
        writer: the thread that does it.
        limits: the rules for imports.
        timeout_s: how long it may take.
        repair: rebuilds the partition first, if it has to be.
        after_import: called before the outcome is published.

    Raises:
        Terminal: the file is refused; nothing was changed.
        DiskFull: there is no space; the partition is unchanged, or its Parquet file is put in place later.
        Transient: the disk failed or the time ran out; nothing was changed.
        BrokerUnavailable: it is in the lake, but the event could not be published yet.
    """
    failpoint("importer.started")
    job = command.job
    if repair is not None:
        await repair.before_import(job)
    without_space = await finish_committed(bus, lake)
    if (full := without_space.get((str(job.job_id), job.generation))) is not None:
        raise full
    newest = await bus.last_event(FileStaged, job.job_id)
    work = partial(import_staged, as_last_staged(command, newest), lake, clock=bus.clock, limits=limits)
    event = await writer.run_within(work, timeout_s)
    if after_import is not None and isinstance(event, PartitionImported):
        await after_import(Partition(job.ticker, job.endpoint, event.trading_day))
    await bus.publish_event(event)
    failpoint("importer.event_published")


def as_last_staged(command: ImportFile, newest: FileStaged | None) -> ImportFile:
    """Return the command for the file that the fetcher staged last for this generation.

    A fetcher that dies after publishing the command downloads again. If the vendor's file has changed in the
    meantime, its second command is dropped as a duplicate of the first.
    """
    if newest is None or newest.job.generation != command.job.generation or newest.sha256 == command.sha256:
        return command
    return command.model_copy(update={"sha256": newest.sha256, "size_bytes": newest.size_bytes})


def import_staged(
    command: ImportFile,
    lake: Lake,
    interruption: Interruption,
    *,
    clock: Callable[[], datetime],
    limits: ImportLimits,
) -> PartitionImported | JobSkipped:
    """Import a staged file unless that is done already; repeating it changes nothing."""
    began = time.monotonic()
    job = command.job
    done = _own_work(lake, job)
    if done is not None:
        return done
    if not command.force and (held := _same_content(lake, command)) is not None:
        return _skip(lake, job, held, clock())
    with staged_file(lake.paths, command) as file:
        task = task_of(command, file, limits, interruption)
        row = replace_partition(lake, task, clock=clock, notes=LedgerNotes(command))
    dropped = {"duplicates": row.duplicates, "out_of_day": row.strays}
    log.info(
        "partition_imported",
        partition=str(row.partition),
        snapshots=row.snapshots,
        strike_rows=row.strike_rows,
        parquet_bytes=row.parquet_bytes,
        replaced=row.replaced_checksum is not None,
        **{name: count for name, count in dropped.items() if count},
        seconds=round(time.monotonic() - began, 6),
    )
    if row.unknown_records:
        log.warning("unknown_fields", fields=row.unknown_fields, records=row.unknown_records)
    return imported(job, row)


def _own_work(lake: Lake, job: Job) -> PartitionImported | JobSkipped | None:
    """Return the event that ended this request if it is done already: its message was delivered again.

    Raises:
        StorageTrouble: it is committed, but its Parquet file cannot be put in place yet.
    """
    with lake.reading() as connection:
        row = table.read_one(connection, job.job_id)
        waiting = {(held.job_id, held.generation) for held in partitions.unpublished(connection)}
        held = _partition_of(connection, row)
    if row is None or (row.generation, row.requested_at) != (job.generation, job.requested_at):
        return None
    if (row.id, row.generation) in waiting:
        raise StorageTrouble("putting the Parquet file in place", RuntimeError("see the importer's log"))
    if held is not None and held.job_id == row.id and held.generation < row.generation:
        return skipped(job, held) if row.status is Status.COMPLETED else None
    return event_of(job, row) if row.status in _DONE else None


def _partition_of(connection: duckdb.DuckDBPyConnection, row: LedgerRow | None) -> PartitionRow | None:
    if row is None or row.trading_day is None:
        return None
    return partitions.read(connection, Partition(row.ticker, row.endpoint, row.trading_day))


def _same_content(lake: Lake, command: ImportFile) -> PartitionRow | None:
    job = command.job
    with lake.reading() as connection:
        rows = partitions.of_checksum(connection, job.ticker, job.endpoint, command.sha256)
    same_day = (row for row in rows if job.trading_day in {None, row.trading_day})
    return next((row for row in same_day if _is_whole(lake, row)), None)


def _is_whole(lake: Lake, row: PartitionRow) -> bool:
    return row.published and is_present(lake.paths.parquet(row.partition), row.parquet_checksum)


def _skip(lake: Lake, job: Job, held: PartitionRow, now: datetime) -> JobSkipped:
    event = skipped(job, held)
    with lake.writing() as connection:
        row = of_generation(table.read_one(connection, job.job_id), job)
        if row is not None:
            with transaction(connection):
                table.write(connection, [with_outcome(row, held, event.status, now)])
    log.info("job_skipped", partition=str(held.partition), sha256=held.checksum)
    return event
