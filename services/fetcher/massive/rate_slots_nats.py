"""The plan's calls a minute, which hold across all fetchers: each call takes a slot on the broker.

A slot is a message in the stream ``TURNS``, which refuses a second one on its subject, and expires by itself
(``Nats-TTL``). There are as many slots as calls are allowed within that time, so in no such interval more
calls begin, whatever happens to the fetchers.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from nats.js.errors import APIError

from services.fetcher.massive.errors import RateLimited
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors

WAIT_S: Final = 5.0
"""How long a call waits for a slot before its job is deferred."""
OTHERS_FIRST: Final = "other requests were before this one"
_MAX_SLOTS: Final = 60
_MINUTE_S: Final = 60
_RETRY_S: Final = (0.2, 0.6)
"""The random interval between two attempts, so that waiting fetchers do not all try at once."""
_REFUSED: Final = 10077
"""JetStream's error code for a message that exceeds the stream's limits."""


class RateSlots:
    """Waits for free slots.

    Args:
        bus: the connection.
        calls_per_minute: what the plan allows.
        wait_s: how long to wait for a slot.
    """

    def __init__(self, bus: Bus, calls_per_minute: int, wait_s: float = WAIT_S) -> None:
        self._bus = bus
        self._count, self.held_s = slots_of(calls_per_minute)
        self._wait_s = wait_s

    async def wait(self, wait_s: float | None = None) -> None:
        """Return once a slot is this call's.

        Args:
            wait_s: how long to wait for it, if not as long as usual.

        Raises:
            RateLimited: all slots were taken until the wait was over.
            BrokerUnavailable: the broker did not reply in time; a slot may be used up.
        """
        deadline = time.monotonic() + (self._wait_s if wait_s is None else wait_s)
        while not await self._take_any():
            if time.monotonic() > deadline:
                raise RateLimited(OTHERS_FIRST, self.held_s / self._count)
            await asyncio.sleep(random.uniform(*_RETRY_S))  # noqa: S311 (no secret)

    async def _take_any(self) -> bool:
        first = random.randrange(self._count)  # noqa: S311 (no secret)
        for ahead in range(self._count):
            if await self._take((first + ahead) % self._count):
                return True
        return False

    async def _take(self, slot: int) -> bool:
        subject = subjects.rate_slot("massive", slot)
        with translate_errors(f"publish to {subjects.TURNS}", subjects.TURNS):
            try:
                await self._bus.js.publish(subject, b"", stream=subjects.TURNS, msg_ttl=self.held_s)
            except APIError as error:
                if error.err_code == _REFUSED and "per subject" in (error.description or ""):
                    return False
                raise
        return True


def slots_of(calls_per_minute: int) -> tuple[int, int]:
    """Return how many slots there are, and for how many seconds one is taken.

    The broker's times are whole seconds, and a waiting call tries all slots, so there are about 60 at most.
    """
    held_s = max(1, _MINUTE_S * min(calls_per_minute, _MAX_SLOTS) // calls_per_minute)
    return max(1, calls_per_minute * held_s // _MINUTE_S), held_s
