"""A cap on the bandwidth of all fetches of a process."""

from __future__ import annotations

from typing import Final

from aiolimiter import AsyncLimiter

_SLICES_PER_S: Final = 10
"""A burst is at most this fraction of a second's bytes."""


class Bandwidth:
    """A token bucket that all fetches share.

    Args:
        bytes_per_s: the cap; 0 is none.
    """

    def __init__(self, bytes_per_s: int = 0) -> None:
        self._slice_bytes = max(1, bytes_per_s // _SLICES_PER_S)
        self._bucket = (
            AsyncLimiter(self._slice_bytes, self._slice_bytes / bytes_per_s) if bytes_per_s else None
        )

    async def take(self, size_bytes: int) -> None:
        """Wait until the cap allows ``size_bytes`` more."""
        if self._bucket is None:
            return
        # Slices of one size, because the bucket serves small requests first.
        for start in range(0, size_bytes, self._slice_bytes):
            await self._bucket.acquire(min(self._slice_bytes, size_bytes - start))
