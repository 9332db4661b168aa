"""Between the network and the disk: while one block is hashed and written, the next one comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from services.fetcher.download.partial_files import PartialFile
from services.fetcher.errors import not_staged
from services.fetcher.sources.source import Chunk
from shared.process.failpoints import failpoint

BLOCK_BYTES: Final = 1024 * 1024
"""How much is handed to the disk at once; a fetch holds up to three of them in memory."""
KEEP_EVERY_S: Final = 0.5
"""How often what has come in is made durable: a kill loses no more than the last second."""
_FIRST_BYTES: Final = 4096
"""No less is handed over before the end: the first block is judged by how it begins."""

P = ParamSpec("P")
R = TypeVar("R")


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


class Spool:
    """Collects chunks to blocks and has them written in order, one block at a time."""

    def __init__(self, partial: PartialFile) -> None:
        self._partial = partial
        self._chunks: list[Chunk] = []
        self._size_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def add(self, chunk: Chunk) -> None:
        """Take a chunk; wait for the disk only when a block is full and the one before is not written yet.

        Raises:
            Terminal: what came earlier is not what the file's name promises.
            StagingFailed: the disk did not take it.
        """
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes >= BLOCK_BYTES:
            await self._hand_over()

    async def save(self) -> None:
        """Write what is here, unless it is less than a first block must have, and wait for it."""
        if self._size_bytes >= _FIRST_BYTES or self._partial.size_bytes:
            await self._hand_over()
        await self._written()

    async def keep(self) -> None:
        """Write what is here, and make it durable, while more may come."""
        await self.save()
        await blocking(self._partial.final, self._partial.keep)

    async def drain(self) -> None:
        """Write all that is here, the end of the file, and wait for it."""
        await self._hand_over()
        await self._written()

    async def _hand_over(self) -> None:
        async with self._turn:
            await self._written()
            if self._chunks:
                chunks, self._chunks, self._size_bytes = self._chunks, [], 0
                self._writing = asyncio.create_task(blocking(self._partial.final, self._write, chunks))

    async def _written(self) -> None:
        if self._writing is not None:
            # Of one wait that is cancelled the others, and the block itself, must hear nothing.
            await asyncio.shield(self._writing)

    def _write(self, chunks: list[Chunk]) -> None:
        is_first = self._partial.size_bytes == 0
        self._partial.write(chunks)
        if is_first:
            failpoint("fetcher.downloading")


@asynccontextmanager
async def spooled(partial: PartialFile) -> AsyncIterator[Spool]:
    """Yield a spool whose content is made durable again and again, and written however it ends.

    Raises:
        Terminal: what came is not what the file's name promises.
        StagingFailed: the disk did not take it.
    """
    spool = Spool(partial)
    keeping = asyncio.create_task(_keep_again_and_again(spool))
    try:
        yield spool
        await spool.drain()
    finally:
        keeping.cancel()
        try:
            await asyncio.wait({keeping})
            if not keeping.cancelled():
                keeping.result()
        finally:
            await spool.save()


async def _keep_again_and_again(spool: Spool) -> None:
    while True:
        await asyncio.sleep(KEEP_EVERY_S)
        await spool.keep()
