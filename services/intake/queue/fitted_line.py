"""The duration of work by its size: a fixed part and a part that grows, learned from the newest work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_KEEP: Final = 0.95
_PRIOR_WEIGHT: Final = 0.05
_Sums = tuple[float, float, float, float, float]
"""Of weights, sizes, seconds, squares of sizes, and sizes times seconds."""


@dataclass
class FittedLine:
    """Seconds by size: the least-squares line through observations, whose weights decay exponentially.

    Args:
        fixed_s: seconds of work without size, until known.
        per_unit_s: seconds for each unit of size, until known.
        typical_size: a size for which these are meant.
    """

    fixed_s: float
    per_unit_s: float
    typical_size: float

    def __post_init__(self) -> None:
        self._sums: _Sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        self._unscaled = 1 / self.typical_size

    def observe(self, size: float, seconds: float) -> None:
        """Take in how long work of a size took."""
        n, x, y, xx, xy = self._sums
        decayed = (_KEEP * n, _KEEP * x, _KEEP * y, _KEEP * xx, _KEEP * xy)
        self._sums = _plus(decayed, size * self._unscaled, seconds, 1.0)

    def seconds(self, size: float) -> float:
        """Return how long work of a size takes."""
        sums, typical_s = self._sums, self.per_unit_s * self.typical_size
        for prior in (0.0, 1.0):
            sums = _plus(sums, prior, self.fixed_s + prior * typical_s, _PRIOR_WEIGHT)
        n, x, y, xx, xy = sums
        slope = max(0.0, (n * xy - x * y) / (n * xx - x * x))
        fixed_s = (y - slope * x) / n
        if fixed_s < 0:  # through the origin
            fixed_s, slope = 0.0, xy / xx
        return fixed_s + slope * size * self._unscaled


def _plus(sums: _Sums, size: float, seconds: float, weight: float) -> _Sums:
    n, x, y, xx, xy = sums
    return (
        n + weight,
        x + weight * size,
        y + weight * seconds,
        xx + weight * size * size,
        xy + weight * size * seconds,
    )
