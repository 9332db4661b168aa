"""Rate limits per client: a moving window in memory.

The rates are those of ``limits``; the window is not, because its storage starts a thread for most requests to
remove old ones, which takes as long as the rest of a live snapshot's checks.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Final

from limits import parse_many

from services.intake.errors import TooManyRequests


class RateLimit:
    """How many requests each client may send to one route.

    Args:
        rate: as ``fit_rate`` of the settings returns it; several rates, separated by ``;``, hold together.
    """

    def __init__(self, rate: str) -> None:
        self._rate: Final = rate
        self._limits: Final = [(limit.amount, limit.get_expiry()) for limit in parse_many(rate)]
        self._windows: Final[dict[str, list[deque[float]]]] = {}
        """Of each client: for each rate, when its requests of the last ``seconds`` came."""

    def count(self, client: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: the client is over the limit; this request does not count.
        """
        now = time.monotonic()
        windows = self._windows.get(client)
        if windows is None:
            self._forget_idle(now)
            windows = self._windows[client] = [deque() for _ in self._limits]
        for window, (amount, seconds) in zip(windows, self._limits, strict=True):
            while window and window[0] <= now - seconds:
                window.popleft()
            if len(window) >= amount:
                raise TooManyRequests(self._rate, max(1, math.ceil(window[0] + seconds - now)))
        for window in windows:
            window.append(now)

    def _forget_idle(self, now: float) -> None:
        for client, windows in list(self._windows.items()):
            ages = zip(windows, self._limits, strict=True)
            if all(not window or window[-1] <= now - seconds for window, (_, seconds) in ages):
                del self._windows[client]
