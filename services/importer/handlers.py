"""What the importer does with a command: import a staged file, or find that there is nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from services.importer import ledger_duckdb
from services.importer import partitions_duckdb as partitions
from services.importer.errors import StagedFileMissing
from services.importer.lake_duckdb import Lake, transaction
from services.importer.ledger import of_generation, with_outcome
from services.importer.parquet_duckdb import is_there, sha256_of
from services.importer.partitions_duckdb import PartitionRow
from services.importer.recovery import publish_committed
from services.importer.replacement_duckdb import replace_partition
from services.importer.writer_thread import run_in_writer_thread
from shared.bus import Bus
from shared.failpoints import failpoint
from shared.job_states import Status
from shared.messages import ImportFile, Job, JobSkipped, PartitionImported

log = structlog.get_logger(__name__)


async def import_file(
    command: ImportFile, *, bus: Bus, lake: Lake, min_share: float, timeout_s: float
) -> None:
    """Bring a staged file into the lake and announce what became of it.

    Raises:
        Terminal: the file is refused; nothing was changed.
        Transient: the disk or the time ran out; nothing was changed.
        BrokerUnavailable: it is in the lake, but nobody could be told yet.
    """
    failpoint("importer.started")
    work = partial(bring_in, command, lake, clock=bus.clock, min_share=min_share)
    fact = await run_in_writer_thread(lake, work, timeout_s)
    await bus.announce(fact)
    failpoint("importer.event_published")


def bring_in(
    command: ImportFile, lake: Lake, *, clock: Callable[[], datetime], min_share: float
) -> PartitionImported | JobSkipped:
    """Make the lake hold what the staged file says; doing it again changes nothing."""
    publish_committed(lake, clock)
    done = _own_work(lake, command.job)
    if done is not None:
        return imported(command.job, done)
    if not command.force and (held := _same_content(lake, command)) is not None:
        return _skip(lake, command.job, held, clock())
    row = replace_partition(lake, command, _staged_file(lake, command), clock, min_share)
    log.info(
        "partition_imported",
        partition=str(row.partition),
        snapshots=row.snapshots,
        strike_rows=row.strike_rows,
        parquet_bytes=row.parquet_bytes,
        replaced=row.replaced_checksum is not None,
    )
    return imported(command.job, row)


def imported(job: Job, row: PartitionRow) -> PartitionImported:
    """Return the fact that a partition was imported."""
    return PartitionImported(
        job=job,
        trading_day=row.trading_day,
        sha256=row.checksum,
        snapshots=row.snapshots,
        strike_rows=row.strike_rows,
        parquet_path=row.parquet_path,
        parquet_bytes=row.parquet_bytes,
        parquet_sha256=row.parquet_checksum,
        replaced_sha256=row.replaced_checksum,
    )


def _own_work(lake: Lake, job: Job) -> PartitionRow | None:
    """Return the partition if this very generation has written it: the message was delivered again."""
    with lake.reading() as connection:
        row = partitions.of_job(connection, str(job.job_id), job.generation)
    return row if row is not None and _is_whole(lake, row) else None


def _same_content(lake: Lake, command: ImportFile) -> PartitionRow | None:
    job = command.job
    with lake.reading() as connection:
        rows = partitions.of_checksum(connection, job.ticker, job.endpoint, command.sha256)
    same_day = (row for row in rows if job.trading_day in {None, row.trading_day})
    return next((row for row in same_day if _is_whole(lake, row)), None)


def _is_whole(lake: Lake, row: PartitionRow) -> bool:
    return is_there(lake.paths.parquet(row.partition), row.parquet_checksum)


def _skip(lake: Lake, job: Job, held: PartitionRow, now: datetime) -> JobSkipped:
    with lake.writing() as connection:
        row = of_generation(ledger_duckdb.read_one(connection, job.job_id), job)
        if row is not None and row.status is not Status.SKIPPED:
            with transaction(connection):
                ledger_duckdb.write(connection, [with_outcome(row, held, Status.SKIPPED, now)])
    log.info("job_skipped", partition=str(held.partition), sha256=held.checksum)
    return JobSkipped(
        job=job,
        trading_day=held.trading_day,
        sha256=held.checksum,
        snapshots=held.snapshots,
        strike_rows=held.strike_rows,
        parquet_path=held.parquet_path,
        parquet_bytes=held.parquet_bytes,
    )


def _staged_file(lake: Lake, command: ImportFile) -> Path:
    """Return the staged file after making sure that it is the one that the fetcher staged."""
    try:
        path = lake.paths.staged_from_relative(command.staged_path)
    except ValueError as error:
        raise StagedFileMissing(
            Path(command.staged_path), f"is not in the staging folder ({error})"
        ) from error
    if not path.is_file():
        raise StagedFileMissing(path, "is gone")
    found = path.stat()
    unchanged = found.st_size == command.size_bytes and found.st_mtime_ns == command.modified_ns
    if not unchanged and sha256_of(path) != command.sha256:
        raise StagedFileMissing(path, "was replaced by another download since")
    return path
