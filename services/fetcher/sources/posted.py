"""Read a file that the client posted inline, from the broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.fetcher.errors import PostedFileGone
from services.fetcher.sources.source import Body, ResumePoint
from shared.bus.connection import Bus
from shared.bus.storage import posted_files

_NAME: Final = "the client"
_CHUNK_BYTES: Final = 256 * 1024


class PostedSource:
    """Opens the file of one command.

    Args:
        bus: the connection.
        sequence: of the file in BODIES.
        sha256: its checksum.
        max_bytes: the maximum size of a file.
    """

    def __init__(self, bus: Bus, sequence: int, sha256: str, max_bytes: int) -> None:
        self._bus = bus
        self._sequence = sequence
        self._sha256 = sha256
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:  # noqa: ARG002 (of the protocol)
        """Open the file, whatever the URL, from its start."""
        content = await posted_files.read(self._bus, self._sequence, self._sha256, self._max_bytes)
        if content is None:
            raise PostedFileGone(self._sequence)
        yield Body(_NAME, len(content), _chunks(content))


async def _chunks(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]
