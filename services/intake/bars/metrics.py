"""Metrics of the gaps of minute bars, as the last detection of this intake has found them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from gexlake.api.chronox.bars import DetectGapsResponse


class GapMetrics:
    """Gauges of gaps; they have no value until a detection.

    Args:
        registry: gets them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gaps = Gauge(
            "gexlake_bar_gaps", "Gaps of minute bars, at the last detection", ("status",), registry=registry
        )
        self._missing = Gauge(
            "gexlake_bar_missing_minutes",
            "Minutes of all open gaps, at the last detection",
            registry=registry,
        )

    def found(self, detected: DetectGapsResponse) -> None:
        """Take in what a detection has found."""
        for status, count in detected.by_status.items():
            self._gaps.labels(status).set(count)
        self._missing.set(detected.missing_minutes)
