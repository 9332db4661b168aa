"""Write received chunks to the disk in blocks; one block is hashed and written while the next is received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from services.fetcher.download.partial_files import PartialFile
from services.fetcher.errors import staging_error
from services.fetcher.sources.source import Chunk
from shared.process.failpoints import failpoint

BLOCK_BYTES: Final = 1024 * 1024
"""How much is written at once; a fetch has up to three blocks in memory."""
CHECKPOINT_INTERVAL_S: Final = 0.5
"""How often the received bytes are made durable; a kill loses at most about a second of them."""
_FIRST_BYTES: Final = 4096
"""The minimum size of the first block, by whose first bytes the content is checked."""

P = ParamSpec("P")
R = TypeVar("R")


async def blocking(path: Path, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking file system call in a thread, so that heartbeats and other fetches continue.

    Raises:
        StagingFull: the disk has no space.
        StagingFailed: the call raised another ``OSError``.
    """
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except OSError as error:
        raise staging_error(path, error) from error


class BlockWriter:
    """Collects chunks into blocks and writes them in order, one block at a time."""

    def __init__(self, partial: PartialFile) -> None:
        self._partial = partial
        self._chunks: list[Chunk] = []
        self._size_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._start_lock = asyncio.Lock()

    async def add(self, chunk: Chunk) -> None:
        """Add a chunk; wait only if a block is full and the one before is not yet written.

        Raises:
            Terminal: earlier content does not match the file's name.
            StagingFailed: an earlier block could not be written.
        """
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes >= BLOCK_BYTES:
            await self._start_write()

    async def flush(self) -> None:
        """Write the collected chunks, unless they are too small for a first block, and wait."""
        if self._size_bytes >= _FIRST_BYTES or self._partial.size_bytes:
            await self._start_write()
        await self._wait_for_write()

    async def checkpoint(self) -> None:
        """Write the collected chunks and make the file durable; chunks may be added in the meantime."""
        await self.flush()
        await blocking(self._partial.final, self._partial.checkpoint)

    async def finish(self) -> None:
        """Write the last chunks and wait."""
        await self._start_write()
        await self._wait_for_write()

    async def _start_write(self) -> None:
        async with self._start_lock:
            await self._wait_for_write()
            if self._chunks:
                chunks, self._chunks, self._size_bytes = self._chunks, [], 0
                self._writing = asyncio.create_task(blocking(self._partial.final, self._write, chunks))

    async def _wait_for_write(self) -> None:
        if self._writing is not None:
            # Cancelling one waiter must cancel neither the other waiters nor the write.
            await asyncio.shield(self._writing)

    def _write(self, chunks: list[Chunk]) -> None:
        is_first = self._partial.size_bytes == 0
        self._partial.write(chunks)
        if is_first:
            failpoint("fetcher.downloading")


@asynccontextmanager
async def block_writer_for(partial: PartialFile) -> AsyncIterator[BlockWriter]:
    """Yield a block writer that checkpoints periodically and is flushed on every exit.

    Raises:
        Terminal: the content does not match the file's name.
        StagingFailed: a block could not be written.
    """
    writer = BlockWriter(partial)
    checkpoints = asyncio.create_task(_checkpoint_periodically(writer))
    try:
        yield writer
        await writer.finish()
    finally:
        checkpoints.cancel()
        try:
            await asyncio.wait({checkpoints})
            if not checkpoints.cancelled():
                checkpoints.result()
        finally:
            await writer.flush()


async def _checkpoint_periodically(writer: BlockWriter) -> None:
    while True:
        await asyncio.sleep(CHECKPOINT_INTERVAL_S)
        await writer.checkpoint()
