"""Percentiles of durations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Percentiles and maximum of durations, in their unit; those of a table are in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> Spread:
        """Return the spread of at least one duration."""
        ordered = sorted(durations)
        p50, p95, p99 = (ordered[int(share * len(ordered))] for share in (0.5, 0.95, 0.99))
        return cls(len(ordered), p50, p95, p99, ordered[-1])

    def cells(self) -> list[str]:
        """Return the figures as table cells."""
        return [f"{self.count:,}", *(f"{value:.1f}" for value in (self.p50, self.p95, self.p99, self.max))]
