"""How fast jobs come and go, as values with times in seconds."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from math import ceil
from typing import Final

_WINDOW_S: Final = 60.0
_FEWEST: Final = 20
_MOST: Final = 1000
_USUAL_SHARE, _UNUSUAL = 0.9, 4
"""A gap counts for at most four times the mean of the shortest nine tenths."""
_KNOWN_FROM: Final = 5
_ARRIVALS_OVER_S: Final = 120.0
_SHORTEST_S: Final = 30.0


class CompletionRate:
    """Completions a second of a stage, while jobs waited for it.

    It is the mean of the last minute with a backlog, or of the last twenty completions if those took longer.
    A rare gap that is much longer than the others, such as the import of a large file, counts in part.
    """

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._last_s: float | None = None
        self._completed: deque[float] = deque(maxlen=_MOST)

    def advance(self, now_s: float, *, has_backlog: bool) -> None:
        """Take in that time has passed, all of it with or all of it without a backlog."""
        if self._last_s is not None and has_backlog:
            self._busy_s += max(0.0, now_s - self._last_s)
        self._last_s = now_s if self._last_s is None else max(now_s, self._last_s)

    def completed(self) -> None:
        """Take in a completion while there was a backlog."""
        self._completed.append(self._busy_s)
        while len(self._completed) > _FEWEST and self._completed[0] < self._busy_s - _WINDOW_S:
            self._completed.popleft()

    @property
    def per_s(self) -> float | None:
        """Completions a second; None until there were some."""
        if len(self._completed) < _KNOWN_FROM:
            return None
        gaps = sorted(later - earlier for earlier, later in pairwise(self._completed))
        usual = gaps[: ceil(len(gaps) * _USUAL_SHARE)]
        longest_s = _UNUSUAL * sum(usual) / len(usual)
        seconds = sum(min(gap, longest_s) for gap in gaps)
        return len(gaps) / seconds if seconds > 0 else None


class ArrivalRate:
    """Arrivals a second, as an exponential mean over about two minutes."""

    def __init__(self) -> None:
        self._count = 0.0
        self._last_s = self._first_s = -math.inf

    def arrived(self, now_s: float) -> None:
        """Take in an arrival."""
        if math.isinf(self._first_s):
            self._first_s = self._last_s = now_s
        self._count = self._at(now_s) + 1
        self._last_s = max(now_s, self._last_s)

    def per_s(self, now_s: float) -> float:
        """Return arrivals a second; 0 before the first one."""
        if not self._count:
            return 0.0
        observed_s = max(_SHORTEST_S, now_s - self._first_s)
        return self._at(now_s) / (_ARRIVALS_OVER_S * -math.expm1(-observed_s / _ARRIVALS_OVER_S))

    def _at(self, now_s: float) -> float:
        return self._count * math.exp(-max(0.0, now_s - self._last_s) / _ARRIVALS_OVER_S)
