"""Detect a source that sends less than a minimum speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.fetcher.errors import SourceTooSlow
from services.fetcher.sources.source import Chunk


@dataclass(frozen=True)
class MinimumSpeed:
    """The speed below which an attempt fails."""

    bytes_per_s: int
    """0 disables the limit."""
    window_s: float
    """The seconds of waiting over which it is measured."""


class StallDetector:
    """Waits for the chunks of one body; time between the waits (disk, bandwidth cap) does not count.

    Args:
        source: the source, for messages.
        minimum: the minimum speed.
    """

    def __init__(self, source: str, minimum: MinimumSpeed) -> None:
        self._source = source
        self._minimum = minimum
        self._begin_window()

    async def next(self, chunks: AsyncIterator[Chunk]) -> Chunk | None:
        """Return the next chunk, None after the last one.

        Raises:
            SourceTooSlow: the source is below the minimum speed.
        """
        if not self._minimum.bytes_per_s:
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
        self._left_s = self._minimum.window_s
        self._missing_bytes = self._minimum.bytes_per_s * self._minimum.window_s

    def _too_slow(self) -> SourceTooSlow:
        speed = f"{self._minimum.bytes_per_s} bytes/s for {self._minimum.window_s:g} s"
        return SourceTooSlow(self._source, f"sent less than {speed} (GEXLAKE_FETCH_MIN_BYTES_PER_S)")
