"""Handle the import command of a flat file: import it, or skip it if the lake has it for all symbols."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial

import duckdb
import structlog

from gexlake.api.jobs import Status
from services.importer.errors import NothingToImport, StorageTrouble, UnreadableFile
from services.importer.flat_files import table
from services.importer.flat_files.recovery import finish_flat_files
from services.importer.flat_files.replace import FlatFileTask, import_day
from services.importer.flat_files.symbols import registered_symbols
from services.importer.flat_files.table import FlatFileRow, imported, skipped
from services.importer.imports.handler import as_last_staged
from services.importer.imports.staged_file import staged_file
from services.importer.interruption import Interruption
from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger import table as ledger
from services.importer.ledger.rows import of_generation, with_outcome
from services.importer.limits import ImportLimits
from shared.bus.connection import Bus
from shared.bus.messages import FileStaged, ImportFile, Job, JobSkipped, PartitionImported
from shared.massive import flat_files
from shared.process.failpoints import failpoint

log = structlog.get_logger(__name__)


async def import_flat_file(
    command: ImportFile,
    *,
    bus: Bus,
    lake: Lake,
    writer: WriterThread,
    limits: ImportLimits,
    timeout_s: float,
    all_symbols: bool,
) -> None:
    """Import a staged flat file and publish the outcome.

    Args:
        command: what to import.
        bus: where the outcome is published, and the registered symbols are read.
        lake: where the file is imported.
        writer: the thread that does it.
        limits: the rules for imports.
        timeout_s: how long it may take.
        all_symbols: for all symbols that the file has, not only for the registered ones.

    Raises:
        Terminal: the file is refused, or no symbol is registered; nothing was changed.
        Transient: the disk failed or the time ran out; nothing was changed.
        BrokerUnavailable: it is in the lake, but the event could not be published yet.
    """
    failpoint("importer.started")
    await finish_flat_files(bus, lake)
    symbols = None if all_symbols else await registered_symbols(bus)
    newest = await bus.last_event(FileStaged, command.job.job_id)
    staged = as_last_staged(command, newest)
    work = partial(import_staged, staged, lake, symbols=symbols, clock=bus.clock, limits=limits)
    await bus.publish_event(await writer.run_within(work, timeout_s))
    failpoint("importer.event_published")


def import_staged(
    command: ImportFile,
    lake: Lake,
    interruption: Interruption,
    *,
    symbols: frozenset[str] | None,
    clock: Callable[[], datetime],
    limits: ImportLimits,
) -> PartitionImported | JobSkipped:
    """Import a staged flat file unless that is done already; repeating it changes nothing.

    Args:
        command: what to import.
        lake: where.
        interruption: ends the work from another thread.
        symbols: for which; None for all that the file has.
        clock: returns the time.
        limits: the rules.
    """
    began = time.monotonic()
    job, day = command.job, _day_of(command)
    with lake.reading() as connection:
        held = table.read(connection, day)
        done = _own_work(connection, job, held)
    if done is not None:
        return done
    if symbols is not None and not symbols:
        raise NothingToImport
    scope = _scope(held, command, symbols, is_there=lake.paths.bars(day).is_file())
    if held is not None and scope is None:
        return _skip(lake, job, held, clock())
    assert scope is not None  # noqa: S101 (only a held file is skipped)
    with staged_file(lake.paths, command) as file:
        task = FlatFileTask(
            *(file, command, day, scope.symbols, scope.added),
            replaced=held,
            limits=limits,
            now=clock(),
            interruption=interruption,
        )
        row = import_day(lake, task)
    log.info(
        "flat_file_imported",
        trading_day=day.isoformat(),
        **row.counts,
        duplicates=row.duplicates,
        parquet_bytes=row.parquet_bytes,
        replaced=row.replaced_checksum is not None,
        seconds=round(time.monotonic() - began, 6),
    )
    if row.rejected:
        log.warning("flat_file_rows_rejected", trading_day=day.isoformat(), reasons=row.reasons)
    return imported(job, row)


@dataclass(frozen=True)
class _Scope:
    """For which symbols a day is imported: all in the end, and those whose bars are written now."""

    symbols: frozenset[str] | None
    added: frozenset[str] | None


def _scope(
    held: FlatFileRow | None, command: ImportFile, symbols: frozenset[str] | None, *, is_there: bool
) -> _Scope | None:
    """Return what is to be imported; None if the lake has all of it.

    A day has the bars of one file: another one is imported for the symbols of the one before, too.
    """
    if held is None:
        return _Scope(symbols, symbols)
    before = None if held.symbols is None else frozenset(held.symbols)
    together = None if symbols is None or before is None else symbols | before
    if held.checksum != command.sha256 or command.force or not is_there:
        return _Scope(together, together)
    if together == before:
        return None
    return _Scope(together, None if together is None or before is None else together - before)


def _day_of(command: ImportFile) -> date:
    if command.job.trading_day is not None:
        return command.job.trading_day
    key = command.job.base_url.partition(f"/{flat_files.BUCKET}/")[2]
    try:
        return flat_files.day_of(key)
    except ValueError as error:
        raise UnreadableFile(command.job.base_url, f"its URL has no trading day ({error})") from error


def _own_work(
    connection: duckdb.DuckDBPyConnection, job: Job, held: FlatFileRow | None
) -> PartitionImported | JobSkipped | None:
    """Return the event that ended this request if it is done already: its message was delivered again.

    Raises:
        StorageTrouble: it is committed, but its Parquet file cannot be put in place yet.
    """
    row = ledger.read_one(connection, job.job_id)
    if (
        row is None
        or held is None
        or (row.generation, row.requested_at) != (job.generation, job.requested_at)
    ):
        return None
    if (held.job_id, held.generation) == (row.id, row.generation):
        if not held.published:
            raise StorageTrouble("putting the Parquet file in place", RuntimeError("see the importer's log"))
        return imported(job, held)
    return skipped(job, held) if row.status in {Status.SKIPPED, Status.COMPLETED} else None


def _skip(lake: Lake, job: Job, held: FlatFileRow, now: datetime) -> JobSkipped:
    event = skipped(job, held)
    with lake.writing() as connection:
        row = of_generation(ledger.read_one(connection, job.job_id), job)
        if row is not None:
            with transaction(connection):
                ended = with_outcome(row, held.as_partition, event.status, now)
                ledger.write(connection, [replace(ended, counts=held.counts_text)])
    log.info("job_skipped", trading_day=held.trading_day.isoformat(), sha256=held.checksum)
    return event
