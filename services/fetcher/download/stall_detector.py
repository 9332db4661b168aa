"""The minimum speed of a source: so many bytes within so many seconds of waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.fetcher.errors import SourceTooSlow
from services.fetcher.sources.source import Chunk


@dataclass(frozen=True)
class MinimumSpeed:
    """A source that sends less is given up on."""

    bytes_per_s: int
    """0: none."""
    window_s: float
    """Over how many seconds of waiting for it."""


class Pace:
    """Waits for the chunks of one body. Time that we take ourselves (for the disk, by a cap) does not count.

    Args:
        source: how to name it.
        least: how slow it may be.
    """

    def __init__(self, source: str, least: MinimumSpeed) -> None:
        self._source = source
        self._least = least
        self._begin_window()

    async def next(self, chunks: AsyncIterator[Chunk]) -> Chunk | None:
        """Return the next chunk, None after the last one.

        Raises:
            SourceTooSlow: it does not come in time.
        """
        if not self._least.bytes_per_s:
            return await anext(chunks, None)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._left_s) as window:
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            if not window.expired():
                raise
            raise self._too_slow() from error
        self._left_s -= asyncio.get_running_loop().time() - began
        self._missing_bytes -= len(chunk or b"")
        if self._missing_bytes <= 0:
            self._begin_window()
        return chunk

    def _begin_window(self) -> None:
        self._left_s = self._least.window_s
        self._missing_bytes = self._least.bytes_per_s * self._least.window_s

    def _too_slow(self) -> SourceTooSlow:
        speed = f"{self._least.bytes_per_s} bytes/s for {self._least.window_s:g} s"
        return SourceTooSlow(self._source, f"sent less than {speed} (GEXLAKE_FETCH_MIN_BYTES_PER_S)")
