"""Rate limits per client: a moving window in memory."""

from __future__ import annotations

import math
import time
from typing import Any, Final

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.intake.errors import TooManyRequests


def fit_rate(value: Any) -> str:
    """Return a rate in the syntax of ``limits``; a bare number is per minute.

    Raises:
        ValueError: it is not a rate, or lets nothing through.
    """
    text = str(value).strip()
    rate = f"{text}/minute" if text.isdecimal() else text
    try:
        limits = parse_many(rate)
    except ValueError:
        raise ValueError(f"{text!r} is not a rate: write it like 600/minute, 10/second or 600") from None
    if any(limit.amount < 1 or limit.get_expiry() < 1 for limit in limits):
        raise ValueError(f"{text!r} lets nothing through: a rate is at least 1")
    return rate


class RateLimit:
    """How many requests each client may send to one route.

    Args:
        rate: as ``fit_rate`` returns it; several rates, separated by ``;``, hold together.
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
