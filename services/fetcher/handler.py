"""Handle the fetch command: stage a file and request its import."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import structlog

from gexlake.api.jobs import Stage
from services.fetcher.download.attempt import Limits, download, partial_of
from services.fetcher.download.block_writer import blocking
from services.fetcher.download.handover import until_superseded, wait_for_older
from services.fetcher.download.partial_recovery import remove_abandoned
from services.fetcher.download.staged_files import StagedFile, find
from services.fetcher.errors import (
    CircuitOpenError,
    SourceRefused,
    SourceUnreachable,
    StagingFailed,
)
from services.fetcher.gexbot.errors import NoHistory
from services.fetcher.health.outage import raise_if_gone
from services.fetcher.health.source_health_nats import SourceHealthStore, TrackedSource
from services.fetcher.locations import Locations
from services.fetcher.sources.posted import PostedSource
from services.fetcher.sources.source import Source
from shared.bus.connection import Bus
from shared.bus.consumer.attempts import is_superseded
from shared.bus.messages import FetchFile, FileStaged, ImportFile, Job, NoData
from shared.bus.reports.progress import ProgressReporter
from shared.paths import LakePaths
from shared.process.failpoints import failpoint
from shared.sources.url_encryption import UrlCipher

log = structlog.get_logger(__name__)


async def fetch_file(
    command: FetchFile,
    *,
    bus: Bus,
    source: Source,
    locations: Locations,
    url_cipher: UrlCipher,
    health: SourceHealthStore,
    paths: LakePaths,
    limits: Limits,
    outage_limit: timedelta,
) -> None:
    """Stage the source file, request its import and publish the event.

    Idempotent: after a redelivery, a staged file that was announced is not fetched again, and one that was
    not is replaced only if its content differs. A day without data becomes a ``NoData`` event.

    Raises:
        Terminal: the source does not provide the file, the content is not a history file, or the source has
            failed for longer than ``outage_limit``.
        Transient: a retry may succeed.
    """
    failpoint("fetcher.started")
    if await _is_done(command, bus, paths):
        return
    started = time.monotonic()
    try:
        url = url_cipher.url_of(command)
        staged = await _stage(command, url, bus, source, locations, health, paths, limits)
    except NoHistory as error:
        await bus.publish_event(NoData(job=command.job, reason=str(error)))
        log.info("no_data", reason=str(error))
        return
    except (SourceUnreachable, CircuitOpenError) as error:
        raise_if_gone(error, command.job, bus.clock() - outage_limit)
        raise
    if staged is None:
        log.info("job_superseded")
    else:
        await _request_import(command, staged, bus, paths)
        seconds = round(time.monotonic() - started, 3)
        log.info("file_staged", bytes=staged.size_bytes, seconds=seconds, sha256=staged.sha256)
    await _remove_other_partials(command.job, bus, paths)


async def _stage(
    command: FetchFile,
    url: str,
    bus: Bus,
    source: Source,
    locations: Locations,
    health: SourceHealthStore,
    paths: LakePaths,
    limits: Limits,
) -> StagedFile | None:
    """Stage the file; None if a newer request superseded this one, whose file must stay."""
    posted = _posted(command, bus, limits)
    found = locations.named(url) if posted else await locations.find(url)
    final = _staged_path(paths, command.job, found.name)
    progress = ProgressReporter(bus, command.job, Stage.FETCH)
    limits = replace(limits, priority=command.job.priority)
    if command.job.generation > 1:
        await wait_for_older(final, command.job.job_id)
    async with partial_of(final, command.job, limits.max_bytes) as partial:

        async def receive(opened: Source, where: str) -> None:
            await download(opened, where, partial, on_progress=progress.report, limits=limits)

        async def fill(where: str) -> None:
            if posted:
                await receive(posted, where)
                return
            async with health.track(where) as request:
                await receive(TrackedSource(source, request), where)

        ended = await until_superseded(
            locations.download(url, found, fill),
            lambda: partial.is_resumable,
            lambda: is_superseded(bus, command.job),
        )
        if not ended or await is_superseded(bus, command.job):
            return None
        staged = await blocking(final, partial.publish)
    await progress.report(staged.size_bytes, staged.size_bytes, always=True)
    failpoint("fetcher.file_staged")
    return staged


def _posted(command: FetchFile, bus: Bus, limits: Limits) -> PostedSource | None:
    if command.body_seq is None or command.body_sha256 is None:
        return None
    return PostedSource(bus, command.body_seq, command.body_sha256, limits.max_bytes)


async def _request_import(command: FetchFile, staged: StagedFile, bus: Bus, paths: LakePaths) -> None:
    importing = _import_command(command, staged, paths)
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


async def _remove_other_partials(job: Job, bus: Bus, paths: LakePaths) -> None:
    """Remove the job's other partial files once its newest request is staged.

    A superseded attempt keeps its partial file for the newer one, which may have finished by then. The later
    of the two runs this after it has released its own partial, so it finds the other's.
    """
    last = await bus.last_event(FileStaged, job.job_id)
    if last is None or last.job.is_older_than(job) or await is_superseded(bus, last.job):
        return
    staged = paths.staged_from_relative(last.staged_path)
    try:
        await blocking(staged, remove_abandoned, staged.parent, job.job_id)
    except StagingFailed as error:  # the job is done; the periodic sweep removes them
        log.warning("partial_files_not_removed", error=str(error))


async def _is_done(command: FetchFile, bus: Bus, paths: LakePaths) -> bool:
    """Return whether this generation is done; if its file is staged, request the import again."""
    if await _is_without_data(bus, command.job):
        return True
    staged = await _staged_before(bus, paths, command.job)
    if staged is None:
        return False
    await bus.publish_command(_import_command(command, staged, paths))
    log.info("file_already_staged", bytes=staged.size_bytes, sha256=staged.sha256)
    return True


async def _staged_before(bus: Bus, paths: LakePaths, job: Job) -> StagedFile | None:
    """Return the file that this generation staged, if it still exists with the same content."""
    last = await bus.last_event(FileStaged, job.job_id)
    if last is None or last.job.generation != job.generation:
        return None
    path = paths.staged_from_relative(last.staged_path)
    return await blocking(path, find, path, last.size_bytes, last.sha256)


async def _is_without_data(bus: Bus, job: Job) -> bool:
    """Return whether a ``NoData`` event was published for this generation of the job."""
    last = await bus.last_event(NoData, job.job_id)
    return last is not None and (last.job.generation, last.job.requested_at) == (
        job.generation,
        job.requested_at,
    )


def _staged_path(paths: LakePaths, job: Job, name: str) -> Path:
    try:
        return paths.staged(job.ticker, job.endpoint, name)
    except ValueError as error:
        raise SourceRefused(str(error)) from error


def _import_command(command: FetchFile, staged: StagedFile, paths: LakePaths) -> ImportFile:
    return ImportFile(
        job=command.job,
        force=command.force,
        reason=command.reason,
        staged_path=paths.relative_to_staging(staged.path),
        size_bytes=staged.size_bytes,
        sha256=staged.sha256,
        modified_ns=staged.modified_ns,
    )
