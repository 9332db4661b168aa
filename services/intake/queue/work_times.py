"""The duration of work by its size, learned from the newest work of each class of sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, log2
from typing import Final

NEW_SHARE: Final = 0.2
"""Weight of the newest value in an exponential mean."""
_SHORTEST_S: Final = 0.001


@dataclass
class WorkTimes:
    """Seconds by size: those that are assumed, times what work of nearly that size took of them.

    Each power of two of sizes has an exponential mean of its own, so a flood of small files does not
    make it forget how long a large one takes.

    Args:
        fixed_s: seconds of work without size that are assumed.
        per_unit_s: seconds for each unit of size that are assumed.
    """

    fixed_s: float
    per_unit_s: float
    _logs: dict[int, float] = field(default_factory=dict)
    """By class of sizes, the mean logarithm of the seconds that work took, divided by those assumed."""

    def observe(self, size: float, seconds: float) -> None:
        """Take in how long work of a size took."""
        new = log(max(seconds, _SHORTEST_S) / self._assumed(size))
        before = self._logs.get(_class_of(size), new)
        self._logs[_class_of(size)] = before + NEW_SHARE * (new - before)

    def seconds(self, size: float) -> float:
        """Return how long work of a size takes, by the nearest class of which something is known."""
        assumed_s = self._assumed(size)
        if not self._logs:
            return assumed_s
        nearest = min(self._logs, key=lambda each: abs(each - _class_of(size)))
        return assumed_s * exp(self._logs[nearest])

    def _assumed(self, size: float) -> float:
        return self.fixed_s + self.per_unit_s * size


def _class_of(size: float) -> int:
    return int(log2(max(size, 1.0)))
