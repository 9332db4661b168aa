"""The duration of work by its size, learned from the newest work of each class of sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2
from typing import Final

NEW_SHARE: Final = 0.2
"""Weight of the newest value in an exponential mean."""
_PRIOR_WEIGHT: Final = 0.05


@dataclass
class _Class:
    size: float
    seconds: float


@dataclass
class WorkTimes:
    """Seconds by size: exponential means of each power of two, and a line through them for other sizes.

    A flood of small files does not make it forget how long a large one takes.

    Args:
        fixed_s: seconds of work without size, until known.
        per_unit_s: seconds for each unit of size, until known.
        typical_size: a size for which these are meant.
    """

    fixed_s: float
    per_unit_s: float
    typical_size: float
    _classes: dict[int, _Class] = field(default_factory=dict)

    def observe(self, size: float, seconds: float) -> None:
        """Take in how long work of a size took."""
        known = self._classes.setdefault(_class_of(size), _Class(size, seconds))
        known.size += NEW_SHARE * (size - known.size)
        known.seconds += NEW_SHARE * (seconds - known.seconds)

    def seconds(self, size: float) -> float:
        """Return how long work of a size takes."""
        fixed_s, per_unit_s = self._line()
        known = self._classes.get(_class_of(size))
        if known is None:
            return fixed_s + per_unit_s * size
        return max(known.seconds / 2, known.seconds + per_unit_s * (size - known.size))

    def _line(self) -> tuple[float, float]:
        """Return the fixed part and that of a unit, by least squares of the relative errors."""
        typical_s = self.fixed_s + self.per_unit_s * self.typical_size
        points = [(known.size, known.seconds, 1.0) for known in self._classes.values()]
        points += [(0.0, self.fixed_s, _PRIOR_WEIGHT), (self.typical_size, typical_s, _PRIOR_WEIGHT)]
        weighted = [
            (size / self.typical_size, seconds, share / max(seconds, 0.001) ** 2)
            for size, seconds, share in points
        ]
        n = sum(weight for _, _, weight in weighted)
        x = sum(weight * size for size, _, weight in weighted)
        y = sum(weight * seconds for _, seconds, weight in weighted)
        xx = sum(weight * size * size for size, _, weight in weighted)
        xy = sum(weight * size * seconds for size, seconds, weight in weighted)
        slope = max(0.0, (n * xy - x * y) / (n * xx - x * x))
        fixed_s = (y - slope * x) / n
        if fixed_s < 0:  # through the origin instead
            fixed_s, slope = 0.0, xy / xx
        return fixed_s, slope / self.typical_size


def _class_of(size: float) -> int:
    return int(log2(max(size, 1.0)))
