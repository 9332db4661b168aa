"""A cap on the bandwidth of all fetches of a process, half of which is kept for CRITICAL work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiolimiter import AsyncLimiter

from gexlake.api.jobs import Priority

KEPT_FOR_CRITICAL: Final = 0.5
"""The share of the cap that other fetches leave while a CRITICAL one runs."""
_SLICES_PER_S: Final = 10
"""A burst is at most this fraction of a second's bytes."""


class Bandwidth:
    """A token bucket that all fetches share, and a smaller one before it for those that are not CRITICAL.

    The smaller bucket counts only while a CRITICAL fetch runs. CRITICAL fetches are limited by the cap alone,
    so they also have what others leave of their share.

    Args:
        bytes_per_s: the cap; 0 is none.
    """

    def __init__(self, bytes_per_s: int = 0) -> None:
        self._slice_bytes = max(1, bytes_per_s // _SLICES_PER_S)
        self._all = _bucket(self._slice_bytes, bytes_per_s)
        self._others = _bucket(self._slice_bytes, bytes_per_s * (1 - KEPT_FOR_CRITICAL))
        self._critical_fetches = 0

    @contextmanager
    def fetching(self, priority: Priority) -> Iterator[None]:
        """Keep the share of CRITICAL work while a fetch of that priority runs."""
        is_critical = priority is Priority.CRITICAL
        self._critical_fetches += is_critical
        try:
            yield
        finally:
            self._critical_fetches -= is_critical

    async def take(self, size_bytes: int, priority: Priority) -> None:
        """Wait until the cap, and the share of the priority, allow ``size_bytes`` more."""
        if self._all is None or self._others is None:
            return
        # Slices of one size, because a bucket serves small requests first.
        for start in range(0, size_bytes, self._slice_bytes):
            wanted = min(self._slice_bytes, size_bytes - start)
            if self._critical_fetches and priority is not Priority.CRITICAL:
                await self._others.acquire(wanted)
            await self._all.acquire(wanted)


def _bucket(size_bytes: int, bytes_per_s: float) -> AsyncLimiter | None:
    return AsyncLimiter(size_bytes, size_bytes / bytes_per_s) if bytes_per_s else None
