"""Bring one file from its source to the disk: in blocks, checked, never the whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from services.fetcher.answers import check_first_bytes, host_of
from services.fetcher.errors import (
    FileIncomplete,
    FileTooLarge,
    NotAHistoryFile,
    SourceUnavailable,
    not_staged,
)
from services.fetcher.partial_files import PartialFile, sweep_job
from services.fetcher.source import Body, Source
from shared.failpoints import failpoint
from shared.messages import Job

BLOCK_BYTES: Final = 1024 * 1024
"""How much is handed to the disk at once; what a fetch holds in memory is little more."""

P = ParamSpec("P")
R = TypeVar("R")
Tell = Callable[[int, int | None], Awaitable[None]]
"""Takes the bytes that came so far and those expected, None if unknown."""


@dataclass(frozen=True)
class Limits:
    """What one attempt at a file may take."""

    max_bytes: int
    timeout_s: float


@asynccontextmanager
async def partial_of(final: Path, job: Job) -> AsyncIterator[PartialFile]:
    """Yield a new partial of ``final`` and remove it in the end, unless it was published.

    Raises:
        StagingFailed: the folder cannot be written.
    """
    partial = PartialFile(final, job.job_id, job.generation)
    await blocking(final, sweep_job, final, job.job_id)
    try:
        await blocking(final, partial.open)
        yield partial
    finally:
        await blocking(final, partial.discard)


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
            async with source.open(url) as body:
                await _pour(body, partial, tell, limits.max_bytes)
            await blocking(partial.final, partial.seal)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        what = f"had not sent all after {limits.timeout_s:g} s (GEXLAKE_FETCH_TIMEOUT_S)"
        raise SourceUnavailable(host_of(url), what) from error
    failpoint("fetcher.file_synced")


async def blocking(path: Path, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function of the file system in a thread, so that heartbeats and other fetches go on.

    Raises:
        StagingFull: the disk has no space.
        StagingFailed: it raised another ``OSError``.
    """
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except OSError as error:
        raise not_staged(path, error) from error


async def _pour(body: Body, partial: PartialFile, tell: Tell, max_bytes: int) -> None:
    _check_size(body, body.total_bytes or 0, max_bytes)
    received, block = 0, bytearray()
    async with aclosing(body.chunks) as chunks:
        async for chunk in chunks:
            received += len(chunk)
            _check_size(body, received, max_bytes)
            block += chunk
            await tell(received, body.total_bytes)
            if len(block) >= BLOCK_BYTES:
                await _append(body, partial, block)
                block = bytearray()
    if block:
        await _append(body, partial, block)
    _check_complete(body, received, partial.final.name)


async def _append(body: Body, partial: PartialFile, block: bytearray) -> None:
    is_first = partial.size_bytes == 0
    if is_first:
        check_first_bytes(body.source, partial.final.name, bytes(block))
    await blocking(partial.final, partial.write, block)
    if is_first:
        failpoint("fetcher.downloading")


def _check_size(body: Body, size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise FileTooLarge(body.source, size_bytes, max_bytes)


def _check_complete(body: Body, received: int, name: str) -> None:
    if body.total_bytes is not None and received != body.total_bytes:
        raise FileIncomplete(body.source, received, body.total_bytes)
    if received == 0:
        raise NotAHistoryFile(body.source, name, "is empty")
