"""When each record of a replay is due, and how far the replay is behind."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """The schedule of a replay: the times of the day, divided by the speed.

    Args:
        speed: how many seconds of the day are one; None for as fast as it goes.
        clock: seconds that only grow.
    """

    def __init__(self, speed: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.behind_s = 0.0
        """How late the last record was."""
        self.most_behind_s = 0.0
        self._speed = speed
        self._clock = clock
        self._began_at: float | None = None
        self._first_ms = 0

    @property
    def took_s(self) -> float:
        """The time since the first record."""
        return 0.0 if self._began_at is None else self._clock() - self._began_at

    def wait_s(self, timestamp_ms: int) -> float:
        """Return after how many seconds a record is due; the first one is due now."""
        if self._began_at is None:
            self._began_at, self._first_ms = self._clock(), timestamp_ms
        return max(0.0, -self._late_s(timestamp_ms))

    def sent(self, timestamp_ms: int) -> None:
        """Take note that a record is under way."""
        self.behind_s = max(0.0, self._late_s(timestamp_ms))
        self.most_behind_s = max(self.most_behind_s, self.behind_s)

    def _late_s(self, timestamp_ms: int) -> float:
        if self._speed is None or self._began_at is None:
            return 0.0
        return self.took_s - (timestamp_ms - self._first_ms) / 1000 / self._speed
