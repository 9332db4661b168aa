"""How durations lie: percentiles and the longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """How some durations in milliseconds lie."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, durations_ms: Sequence[float]) -> Spread:
        """Work it out of at least one."""
        ordered = sorted(durations_ms)
        p50, p95, p99 = (ordered[int(share * len(ordered))] for share in (0.5, 0.95, 0.99))
        return cls(len(ordered), p50, p95, p99, ordered[-1])

    def cells(self) -> list[str]:
        """Return all of it for a table."""
        return [f"{self.count:,}", *(f"{value:.1f}" for value in (self.p50, self.p95, self.p99, self.max))]
