"""Bring one file from its source to the disk: in blocks, checked, never the whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from services.fetcher.download.bandwidth import Bandwidth
from services.fetcher.download.block_writer import Spool, blocking, spooled
from services.fetcher.download.partial_files import PartialFile
from services.fetcher.download.stall_detector import MinimumSpeed, Pace
from services.fetcher.errors import (
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

WORTH_ASKING_AGAIN_BYTES: Final = 64 * 1024
"""A connection that brought the file so much further than any before is followed by another one at once."""

log = structlog.get_logger(__name__)
Tell = Callable[[int, int | None], Awaitable[None]]
"""Takes the bytes that are here so far and those expected, None if unknown."""


@dataclass(frozen=True)
class Limits:
    """What one attempt at a file may take."""

    max_bytes: int
    """As it comes, and inflated."""
    timeout_s: float
    least_speed: MinimumSpeed = field(default=MinimumSpeed(0, 1))
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    """Shared with the other fetches."""


@asynccontextmanager
async def partial_of(final: Path, job: Job, max_bytes: int) -> AsyncIterator[PartialFile]:
    """Yield a partial of ``final``: what an earlier attempt has left, or a new one.

    If it is not published, it stays for a later attempt when the source can be asked for the rest. What is no
    history file does not, nor does anything when the disk is full: then others need the space.

    Raises:
        StagingFailed: the folder cannot be written.
    """
    partial = PartialFile(final, job.job_id, max_bytes)
    try:
        await blocking(final, partial.open)
        yield partial
    except (NotAHistoryFile, FileTooLarge, StagingFull):
        await blocking(final, partial.discard)
        raise
    finally:
        await blocking(final, partial.leave)


async def download(source: Source, url: str, partial: PartialFile, *, tell: Tell, limits: Limits) -> None:
    """Fill a partial file and make it durable.

    Args:
        source: where to ask.
        url: for what.
        partial: what to fill.
        tell: hears of every chunk that comes in.
        limits: how large the file may be, and how long it may take.

    Raises:
        Terminal: the source will not give the file, or it is none.
        Transient: trying again may help.
    """
    try:
        async with asyncio.timeout(limits.timeout_s) as deadline:
            await _bring(source, url, partial, tell, limits)
            await blocking(partial.final, partial.seal)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        what = f"had not sent all after {limits.timeout_s:g} s (GEXLAKE_FETCH_TIMEOUT_S)"
        raise SourceTooSlow(host_of(url), what) from error
    failpoint("fetcher.file_synced")


async def _bring(source: Source, url: str, partial: PartialFile, tell: Tell, limits: Limits) -> None:
    """Ask for the file, and at once for the rest where it broke off, as long as that leads on."""
    furthest = partial.size_bytes
    while True:
        try:
            async with source.open(url, partial.held) as body:
                await _pour(body, partial, tell, limits)
        except SourceTooSlow:
            raise
        except (SourceUnavailable, FileIncomplete) as error:
            if partial.held is None or partial.size_bytes < furthest + WORTH_ASKING_AGAIN_BYTES:
                raise
            furthest = partial.size_bytes
            log.info("download_broken_off", bytes=furthest, error=str(error))
        else:
            return


async def _pour(body: Body, partial: PartialFile, tell: Tell, limits: Limits) -> None:
    _check_size(body, body.total_bytes or 0, limits.max_bytes)
    begin = (body.source, body.start_bytes, body.etag, body.total_bytes)
    await blocking(partial.final, partial.begin, *begin)
    async with spooled(partial) as spool:
        received = await _receive(body, spool, tell, limits)
    _check_complete(body, received, partial)


async def _receive(body: Body, spool: Spool, tell: Tell, limits: Limits) -> int:
    """Return how much of the file is here when the source has sent its last chunk."""
    received, pace = body.start_bytes, Pace(body.source, limits.least_speed)
    async with aclosing(body.chunks) as chunks:
        while (chunk := await pace.next(chunks)) is not None:
            received += len(chunk)
            _check_size(body, received, limits.max_bytes)
            await spool.add(chunk)
            await limits.bandwidth.take(len(chunk))
            await tell(received, body.total_bytes)
    return received


def _check_size(body: Body, size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise FileTooLarge(body.source, size_bytes, max_bytes)


def _check_complete(body: Body, received: int, partial: PartialFile) -> None:
    """Raise unless all has come that was announced.

    Raises:
        FileIncomplete: it has not, or nothing was announced and the end shows that something is missing.
    """
    if body.total_bytes not in {None, received}:
        raise FileIncomplete(body.source, received, body.total_bytes)
    if body.total_bytes is None and received and not partial.is_whole:
        raise FileIncomplete(body.source, received, None)
