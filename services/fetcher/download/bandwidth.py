"""One cap on the bytes a second of all fetches of a process together."""

from __future__ import annotations

from typing import Final

from aiolimiter import AsyncLimiter

_SLICES_PER_S: Final = 10
"""No more than so small a part of a second's bytes may come in one burst."""


class Bandwidth:
    """A bucket that every fetch takes from, in its turn.

    Args:
        bytes_per_s: the cap; 0 is none.
    """

    def __init__(self, bytes_per_s: int = 0) -> None:
        self._slice_bytes = max(1, bytes_per_s // _SLICES_PER_S)
        self._bucket = (
            AsyncLimiter(self._slice_bytes, self._slice_bytes / bytes_per_s) if bytes_per_s else None
        )

    async def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may have come in."""
        if self._bucket is None:
            return
        # All ask for slices of one size: the bucket serves small ones first.
        for start in range(0, size_bytes, self._slice_bytes):
            await self._bucket.acquire(min(self._slice_bytes, size_bytes - start))
