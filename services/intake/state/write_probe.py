"""Prove that requests can be stored: publish a message to each stream that a request is written to.

A stream whose disk was full refuses messages until the broker is restarted, also when there is space again,
while the broker answers everything else. Only a message to the stream itself shows that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from nats.js.errors import NoStreamResponseError

from services.intake.state.broker_link import BrokerLink
from shared.bus import subjects
from shared.bus.connection import translate_errors
from shared.errors import BrokerUnavailable, StreamFull

PROBED: Final = (subjects.JOBS, subjects.EVENTS)
CACHED_S: Final = 1.0
"""How long a result is used: the cost is at most one message a second to each stream."""
_EXPIRES_S: Final = 1
"""The broker removes the message then, so none pile up; the shortest that it takes."""


class WriteProbe:
    """Publishes the messages, and caches the result.

    Args:
        link: the broker, if it is there.
        clock: seconds that only grow.
    """

    def __init__(self, link: BrokerLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._lock = asyncio.Lock()
        self._probed_at: float | None = None
        self._reasons: list[str] = []

    async def why_not_writable(self) -> list[str]:
        """Return a reason for each stream that takes no messages; none means that requests can be stored."""
        async with self._lock:
            if self._probed_at is None or self._clock() - self._probed_at >= CACHED_S:
                found = await asyncio.gather(*(self._probe(stream) for stream in PROBED))
                self._reasons = [reason for reason in found if reason]
                self._probed_at = self._clock()
            return list(self._reasons)

    async def _probe(self, stream: str) -> str | None:
        try:
            with translate_errors(f"publish to {stream}", stream):
                await self._link.require().js.publish(
                    subjects.probe(stream), b"", stream=stream, msg_ttl=_EXPIRES_S
                )
        except StreamFull as error:
            return str(error)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, NoStreamResponseError):
                return f"the stream {stream} does not exist; a service creates it again within seconds"
            return f"the stream {stream} takes no messages: {error}"
        return None
