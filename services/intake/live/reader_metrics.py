"""Metrics of the readers of live snapshots."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.intake.live.feed_ring import CutOffReason


class ReaderMetrics:
    """How many readers there are, and how many were cut off.

    Args:
        registry: where the metrics are exposed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.readers = Gauge(
            "gexlake_stream_readers", "Readers that follow live snapshots", registry=registry
        )
        self._cut_off = Counter(
            "gexlake_stream_readers_cut_off",
            "Readers that were cut off: behind or stalled",
            ("reason",),
            registry=registry,
        )
        for reason in CutOffReason:
            self._cut_off.labels(reason)

    def count_cut_off(self, reason: CutOffReason) -> None:
        """Count a reader that was cut off."""
        self._cut_off.labels(reason).inc()
