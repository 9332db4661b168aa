"""What the fetcher does with its one command."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from gexlake.api.jobs import Stage
from services.fetcher.download.attempt import Limits, download, partial_of
from services.fetcher.download.block_writer import blocking
from services.fetcher.download.partial_recovery import remove_dead
from services.fetcher.download.staged_files import StagedFile, find
from services.fetcher.errors import SourceRefused, StagingFailed
from services.fetcher.gexbot.errors import NoHistory
from services.fetcher.health.source_health_nats import SourceHealthStore, TrackedSource
from services.fetcher.locations import Locations
from services.fetcher.sources.source import Source
from shared.bus.connection import Bus
from shared.bus.consumer.execution import is_superseded
from shared.bus.messages import FetchFile, FileStaged, ImportFile, Job, NoData
from shared.bus.progress import ProgressReporter
from shared.paths import LakePaths
from shared.process.failpoints import failpoint

log = structlog.get_logger(__name__)


async def fetch_file(
    command: FetchFile,
    *,
    bus: Bus,
    source: Source,
    locations: Locations,
    records: SourceHealthStore,
    paths: LakePaths,
    limits: Limits,
) -> None:
    """Stage the source file, ask for its import and announce it.

    A redelivered command finds its work done: a file that was announced is not fetched again, and one that
    was not is replaced only if its content differs. A day without data is announced as that.

    Raises:
        Terminal: the source will not give the file, or it is none.
        Transient: trying again may help.
    """
    failpoint("fetcher.started")
    if await _is_done(command, bus, paths):
        return
    started = time.monotonic()
    try:
        staged = await _stage(command, bus, source, locations, records, paths, limits)
    except NoHistory as error:
        await bus.publish_event(NoData(job=command.job, reason=str(error)))
        log.info("no_data", reason=str(error))
        return
    if staged is None:
        log.info("job_superseded")
    else:
        await _hand_on(command, staged, bus, paths)
        seconds = round(time.monotonic() - started, 3)
        log.info("file_staged", bytes=staged.size_bytes, seconds=seconds, sha256=staged.sha256)
    await _tidy(command.job, bus, paths)


async def _stage(
    command: FetchFile,
    bus: Bus,
    source: Source,
    locations: Locations,
    records: SourceHealthStore,
    paths: LakePaths,
    limits: Limits,
) -> StagedFile | None:
    """Put the file in its place; None if a later request came in meanwhile, whose file must stay."""
    url = command.url.get_secret_value()
    found = await locations.find(url)
    final = _place(paths, command.job, found.name)
    progress = ProgressReporter(bus, command.job, Stage.FETCH)
    async with partial_of(final, command.job, limits.max_bytes) as partial:

        async def fill(where: str) -> None:
            async with records.asking(where) as asking:
                await download(
                    TrackedSource(source, asking), where, partial, tell=progress.report, limits=limits
                )

        await locations.download(url, found, fill)
        if await is_superseded(bus, command.job):
            return None
        staged = await blocking(final, partial.publish)
    await progress.report(staged.size_bytes, staged.size_bytes, always=True)
    failpoint("fetcher.file_staged")
    return staged


async def _hand_on(command: FetchFile, staged: StagedFile, bus: Bus, paths: LakePaths) -> None:
    importing = _import_of(command, staged, paths)
    ack = await bus.publish_command(importing)
    failpoint("fetcher.command_published")
    await bus.publish_event(
        FileStaged(
            job=command.job,
            staged_path=importing.staged_path,
            size_bytes=staged.size_bytes,
            sha256=staged.sha256,
            command_seq=ack.seq,
        )
    )
    failpoint("fetcher.event_published")


async def _tidy(job: Job, bus: Bus, paths: LakePaths) -> None:
    """Remove what other attempts have left of the job's file, once nobody is to go on with that.

    An attempt that was overtaken leaves what it has for the newer one, which may have staged the file by
    then. Whichever of the two looks last, after it has let go of its own, finds what the other one left.
    """
    last = await bus.last_event(FileStaged, job.job_id)
    if last is None or last.job.is_older_than(job) or await is_superseded(bus, last.job):
        return
    staged = paths.staged_from_relative(last.staged_path)
    try:
        await blocking(staged, remove_dead, staged.parent, job.job_id)
    except StagingFailed as error:  # the job is done all the same, and the sweep will come by
        log.warning("partial_files_not_removed", error=str(error))


async def _is_done(command: FetchFile, bus: Bus, paths: LakePaths) -> bool:
    """Tell whether this generation has come to its end before; a staged file is handed on once more."""
    if await _is_without_data(bus, command.job):
        return True
    staged = await _staged_before(bus, paths, command.job)
    if staged is None:
        return False
    await bus.publish_command(_import_of(command, staged, paths))
    log.info("file_already_staged", bytes=staged.size_bytes, sha256=staged.sha256)
    return True


async def _staged_before(bus: Bus, paths: LakePaths, job: Job) -> StagedFile | None:
    """Return the file that this generation of the job staged, if it is still there, byte for byte."""
    last = await bus.last_event(FileStaged, job.job_id)
    if last is None or last.job.generation != job.generation:
        return None
    path = paths.staged_from_relative(last.staged_path)
    return await blocking(path, find, path, last.size_bytes, last.sha256)


async def _is_without_data(bus: Bus, job: Job) -> bool:
    """Tell whether it was announced that there is no data for this generation of the job."""
    last = await bus.last_event(NoData, job.job_id)
    return last is not None and (last.job.generation, last.job.requested_at) == (
        job.generation,
        job.requested_at,
    )


def _place(paths: LakePaths, job: Job, name: str) -> Path:
    try:
        return paths.staged(job.ticker, job.endpoint, name)
    except ValueError as error:
        raise SourceRefused(str(error)) from error


def _import_of(command: FetchFile, staged: StagedFile, paths: LakePaths) -> ImportFile:
    return ImportFile(
        job=command.job,
        force=command.force,
        reason=command.reason,
        staged_path=paths.relative_to_staging(staged.path),
        size_bytes=staged.size_bytes,
        sha256=staged.sha256,
        modified_ns=staged.modified_ns,
    )
