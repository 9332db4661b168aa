"""Rate limits per client: a moving window in memory."""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.intake.errors import TooManyRequests


class RateLimit:
    """How many requests each client may send to one route.

    Args:
        rate: as ``fit_rate`` of the settings returns it; several rates, separated by ``;``, hold together.
    """

    def __init__(self, rate: str) -> None:
        self._rate: Final = rate
        self._limits: Final[list[RateLimitItem]] = parse_many(rate)
        self._window: Final = MovingWindowRateLimiter(MemoryStorage())

    def count(self, client: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: the client is over the limit; this request does not count.
        """
        for limit in self._limits:
            if not self._window.test(limit, client):
                free_at = self._window.get_window_stats(limit, client).reset_time
                raise TooManyRequests(self._rate, max(1, math.ceil(free_at - time.time())))
        for limit in self._limits:
            self._window.hit(limit, client)
