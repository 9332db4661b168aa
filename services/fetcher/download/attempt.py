"""Download one file from its source to the disk, in blocks that are checked as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from gexlake.api.jobs import Priority
from services.fetcher.download.bandwidth import Bandwidth
from services.fetcher.download.block_writer import BlockWriter, block_writer_for, blocking
from services.fetcher.download.partial_files import PartialFile
from services.fetcher.download.stall_detector import MinimumSpeed, StallDetector
from services.fetcher.errors import (
    ErrorInsteadOfFile,
    FileIncomplete,
    FileTooLarge,
    NotAHistoryFile,
    SourceTooSlow,
    SourceUnavailable,
    StagingFull,
)
from services.fetcher.sources.response_policy import host_of
from services.fetcher.sources.source import Body, Source
from shared.bus.messages import Job
from shared.process.failpoints import failpoint

MIN_PROGRESS_BYTES: Final = 64 * 1024
"""After a broken connection the download resumes at once if the file grew by at least this much."""

log = structlog.get_logger(__name__)
OnProgress = Callable[[int, int | None], Awaitable[None]]
"""Takes the bytes received so far and the total, None if unknown."""


@dataclass(frozen=True)
class Limits:
    """The limits of one attempt at a file."""

    max_bytes: int
    """As received, and inflated."""
    timeout_s: float
    min_speed: MinimumSpeed = field(default=MinimumSpeed(0, 1))
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    """Shared by all fetches of the process."""
    priority: Priority = Priority.MEDIUM
    """Of the job, for its share of the bandwidth."""


@asynccontextmanager
async def partial_of(final: Path, job: Job, max_bytes: int) -> AsyncIterator[PartialFile]:
    """Yield a partial file for ``final``: that of an earlier attempt, or a new one.

    Unless published, it is kept for a later attempt if the download can be resumed. It is removed if it is
    not a history file or too large, and if the disk is full.

    Raises:
        StagingFailed: the folder cannot be written.
    """
    partial = PartialFile(final, job.job_id, max_bytes)
    try:
        await blocking(final, partial.open)
        yield partial
    except (ErrorInsteadOfFile, NotAHistoryFile, FileTooLarge, StagingFull):
        await blocking(final, partial.discard)
        raise
    finally:
        await blocking(final, partial.release)


async def download(
    source: Source, url: str, partial: PartialFile, *, on_progress: OnProgress, limits: Limits
) -> None:
    """Fill a partial file and make it durable.

    Args:
        source: opens the URL.
        url: the URL of the file.
        partial: the file to fill.
        on_progress: called after every chunk.
        limits: the maximum size, duration and bandwidth.

    Raises:
        Terminal: the source does not provide the file, or the content is not a history file.
        Transient: a retry may succeed.
    """
    try:
        with limits.bandwidth.fetching(limits.priority):
            async with asyncio.timeout(limits.timeout_s) as deadline:
                await _download_with_resumes(source, url, partial, on_progress, limits)
                await blocking(partial.final, partial.seal)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        what = f"had not sent all after {limits.timeout_s:g} s (GEXLAKE_FETCH_TIMEOUT_S)"
        raise SourceTooSlow(host_of(url), what) from error
    failpoint("fetcher.file_synced")


async def _download_with_resumes(
    source: Source, url: str, partial: PartialFile, on_progress: OnProgress, limits: Limits
) -> None:
    """Request the file, and the rest of it after a broken connection while the file keeps growing."""
    furthest = partial.size_bytes
    while True:
        try:
            async with source.open(url, partial.resume_point) as body:
                await _receive_body(body, partial, on_progress, limits)
        except SourceTooSlow:
            raise
        except (SourceUnavailable, FileIncomplete) as error:
            if partial.resume_point is None or partial.size_bytes < furthest + MIN_PROGRESS_BYTES:
                raise
            furthest = partial.size_bytes
            log.info("download_broken_off", bytes=furthest, error=str(error))
        else:
            return


async def _receive_body(body: Body, partial: PartialFile, on_progress: OnProgress, limits: Limits) -> None:
    _check_size(body, body.total_bytes or 0, limits.max_bytes)
    begin = (body.source, body.start_bytes, body.etag, body.total_bytes)
    await blocking(partial.final, partial.begin, *begin)
    async with block_writer_for(partial) as writer:
        received = await _receive(body, writer, on_progress, limits)
    _check_complete(body, received, partial)


async def _receive(body: Body, writer: BlockWriter, on_progress: OnProgress, limits: Limits) -> int:
    """Return the size of the file after the last chunk."""
    received, stalls = body.start_bytes, StallDetector(body.source, limits.min_speed)
    async with aclosing(body.chunks) as chunks:
        while (chunk := await stalls.next(chunks)) is not None:
            received += len(chunk)
            _check_size(body, received, limits.max_bytes)
            await writer.add(chunk)
            await limits.bandwidth.take(len(chunk), limits.priority)
            await on_progress(received, body.total_bytes)
    return received


def _check_size(body: Body, size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise FileTooLarge(body.source, size_bytes, max_bytes)


def _check_complete(body: Body, received: int, partial: PartialFile) -> None:
    """Check that the file is complete.

    Raises:
        FileIncomplete: its size differs from the announced one, or none was announced and its end is missing.
    """
    if body.total_bytes not in {None, received}:
        raise FileIncomplete(body.source, received, body.total_bytes)
    if body.total_bytes is None and received and not partial.is_complete:
        raise FileIncomplete(body.source, received, None)
