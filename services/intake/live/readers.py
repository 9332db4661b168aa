"""The readers of all streams together: how many there are and may be, and how many were cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.intake.errors import NotReady
from services.intake.live.feed_ring import CutOffReason


class Readers:
    """Counts readers of live snapshots and of replays.

    Args:
        max_readers: at the same time.
        registry: where the metrics are exposed.
    """

    def __init__(self, max_readers: int, registry: CollectorRegistry) -> None:
        self._max_readers = max_readers
        self._count = 0
        self._gauge = Gauge("gexlake_stream_readers", "Readers that follow snapshots", registry=registry)
        self._cut_off = Counter(
            "gexlake_stream_readers_cut_off",
            "Readers that were cut off: behind or stalled",
            ("reason",),
            registry=registry,
        )
        for reason in CutOffReason:
            self._cut_off.labels(reason)

    def require_room(self) -> None:
        """Check that one more may come.

        Raises:
            NotReady: there are as many as may be.
        """
        if self._count >= self._max_readers:
            raise NotReady(
                "readers",
                f"{self._max_readers} readers follow snapshots already (GEXLAKE_MAX_STREAM_READERS); "
                "try again later",
            )

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a reader while it follows."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def count_cut_off(self, reason: CutOffReason) -> None:
        """Count a reader that was cut off."""
        self._cut_off.labels(reason).inc()

    def _change(self, by: int) -> None:
        self._count += by
        self._gauge.set(self._count)
