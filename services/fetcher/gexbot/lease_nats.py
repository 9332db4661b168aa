"""The rate lease for the vendor's API: of all fetchers, one requests a ticker and endpoint, once a second.

A lease is a message in the stream ``TURNS``, which refuses a second one on its subject. It is deleted one
second after the API has responded, so the API never receives two requests within a second, whatever the
latency. The lease of a fetcher that died expires (``Nats-TTL``).
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
"""The vendor's limit: one request a second for each ticker and endpoint."""
LEASE_MAX_S: Final = 12
"""The expiry of a lease: longer than a request may take, in whole seconds as the broker requires."""
WAIT_S: Final = 5.0
"""How long a slot waits for a lease before its job is deferred."""

_RETRY_S: Final = (0.05, 0.15)
"""The random interval between two attempts, so that waiting fetchers do not all try at once."""
_REFUSED: Final = 10077
"""JetStream's error code for a message that exceeds the stream's limits."""

log = structlog.get_logger(__name__)


class VendorLease:
    """Acquires leases, and releases them in the background; leaving its context waits for all releases.

    Args:
        bus: the connection.
        pause_s: the pause between a response and the release.
        wait_s: how long to wait for a lease.
    """

    def __init__(self, bus: Bus, pause_s: float = PAUSE_S, wait_s: float = WAIT_S) -> None:
        self._bus = bus
        self._pause_s = pause_s
        self._wait_s = wait_s
        self._releases: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._releases, return_exceptions=True)

    @asynccontextmanager
    async def hold(self, partition: Partition) -> AsyncIterator[None]:
        """Hold the lease of a ticker and endpoint within this context and for a pause after it.

        Raises:
            LeaseTaken: other fetches held it until the wait was over.
            BrokerUnavailable: the broker did not reply in time.
        """
        sequence = await self._acquire(partition)
        try:
            yield
        finally:
            release = asyncio.create_task(self._release(sequence))
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)

    async def _acquire(self, partition: Partition) -> int:
        subject = subjects.vendor_lease(partition.ticker, partition.endpoint)
        deadline = time.monotonic() + self._wait_s
        while (sequence := await self._try_acquire(subject)) is None:
            if time.monotonic() > deadline:
                raise LeaseTaken(partition.ticker, partition.endpoint)
            await asyncio.sleep(random.uniform(*_RETRY_S))  # noqa: S311 (no secret)
        return sequence

    async def _try_acquire(self, subject: str) -> int | None:
        """Return the sequence of the lease, or None if another fetch holds it."""
        with translate_errors(f"publish to {subjects.TURNS}", subjects.TURNS):
            try:
                ack = await self._bus.js.publish(subject, b"", stream=subjects.TURNS, msg_ttl=LEASE_MAX_S)
            except APIError as error:
                if error.err_code == _REFUSED and "per subject" in (error.description or ""):
                    return None
                raise
        return ack.seq

    async def _release(self, sequence: int) -> None:
        await asyncio.sleep(self._pause_s)
        try:
            with translate_errors("release a rate lease"):
                await self._bus.js.delete_msg(subjects.TURNS, sequence)
        except (BrokerUnavailable, NotFoundError) as error:  # it expires, or has expired
            log.debug("rate_lease_not_released", error=str(error))
