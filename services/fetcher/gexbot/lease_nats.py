"""Turns at the vendor's API: of all fetchers, one at a time asks about a ticker and endpoint, once a second.

A turn is a message in the stream ``TURNS``, which takes no second one on its subject. It is removed one
second after the API has answered: so the API never sees two requests within a second, however long they are
on their way. A fetcher that dies leaves its turn to the message's own end (``Nats-TTL``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import structlog
from nats.js.errors import APIError, NotFoundError

from services.fetcher.gexbot.errors import LeaseTaken
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable
from shared.gexbot.partition import Partition

PAUSE_S: Final = 1.0
"""The vendor's rule: at most one request a second for each ticker and endpoint."""
HELD_AT_MOST_S: Final = 12
"""More than a request may take: the turn of a fetcher that died ends then. Whole seconds, for the broker."""
WAIT_S: Final = 5.0
"""How long a slot waits for a turn before its job is put off."""

_LOOK_S: Final = (0.05, 0.15)
"""Those who wait look again after a time between these two, so that they do not all look at once."""
_REFUSED: Final = 10077
"""JetStream's error code for a message that the stream's limits do not allow."""

log = structlog.get_logger(__name__)


class VendorLease:
    """Takes turns, and gives them back in the background; within its context, until all are given back.

    Args:
        bus: the connection.
        pause_s: how long nobody asks after an answer.
        wait_s: how long a turn is waited for.
    """

    def __init__(self, bus: Bus, pause_s: float = PAUSE_S, wait_s: float = WAIT_S) -> None:
        self._bus = bus
        self._pause_s = pause_s
        self._wait_s = wait_s
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._ending, return_exceptions=True)

    @asynccontextmanager
    async def turn(self, partition: Partition) -> AsyncIterator[None]:
        """Be the only one who asks about a ticker and endpoint, within this context and for a pause after it.

        Raises:
            TurnTaken: others had it all the time.
            BrokerUnavailable: no answer in time.
        """
        sequence = await self._wait_for(partition)
        try:
            yield
        finally:
            ending = asyncio.create_task(self._end(sequence))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _wait_for(self, partition: Partition) -> int:
        subject = subjects.vendor_lease(partition.ticker, partition.endpoint)
        deadline = time.monotonic() + self._wait_s
        while (sequence := await self._take(subject)) is None:
            if time.monotonic() > deadline:
                raise LeaseTaken(partition.ticker, partition.endpoint)
            await asyncio.sleep(random.uniform(*_LOOK_S))  # noqa: S311 (no secret)
        return sequence

    async def _take(self, subject: str) -> int | None:
        """Return where the turn stands in the stream, or None if somebody else has it."""
        with translate_errors(f"publish to {subjects.TURNS}", subjects.TURNS):
            try:
                ack = await self._bus.js.publish(subject, b"", stream=subjects.TURNS, msg_ttl=HELD_AT_MOST_S)
            except APIError as error:
                if error.err_code == _REFUSED and "per subject" in (error.description or ""):
                    return None
                raise
        return ack.seq

    async def _end(self, sequence: int) -> None:
        await asyncio.sleep(self._pause_s)
        try:
            with translate_errors("end a turn"):
                await self._bus.js.delete_msg(subjects.TURNS, sequence)
        except (BrokerUnavailable, NotFoundError) as error:  # it ends by itself, or has ended
            log.debug("turn_not_ended", error=str(error))
