"""The lease of the vendor's stream: of all fetchers, one follows it.

The lease is a key of the bucket SYMBOLS with the owner as its value. It is renewed by compare-and-set and
expires by itself (``Nats-TTL``) once its owner has died. A message in ``TURNS``, which refuses a second one
on its subject, cannot be renewed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.storage.bucket import Bucket
from shared.errors import BrokerUnavailable, StreamFull, Transient

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LeaseTimes:
    """Times of a lease, in seconds.

    Args:
        held_s: when the broker removes a lease that is not renewed; whole seconds.
        renew_s: when it is renewed.
        margin_s: how long before its end the owner stops: longer than a message may be on its way.
        retry_s: the pause after a renewal that got no reply.
    """

    held_s: int = 15
    renew_s: float = 3.0
    margin_s: float = 5.0
    retry_s: float = 1.0


_TIMES: Final = LeaseTimes()


class LeaseLost(Transient):
    """Another fetcher may follow the stream by now."""

    def __init__(self) -> None:
        super().__init__("the lease of the stream was not renewed in time")


class StreamLease:
    """Takes, renews and releases the lease.

    Args:
        bus: the connection.
        owner: names this process; no other has the same.
        times: of the lease.
    """

    def __init__(self, bus: Bus, owner: str, times: LeaseTimes = _TIMES) -> None:
        self.owner: Final = owner
        self._bucket = Bucket(bus, subjects.SYMBOLS)
        self._times = times
        self._revision = 0
        self._valid_until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether no other fetcher can have it."""
        return time.monotonic() < self._valid_until

    def require(self) -> None:
        """Refuse to go on without the lease.

        Raises:
            LeaseLost: it is not held any more.
        """
        if not self.is_held:
            raise LeaseLost

    async def take(self) -> bool:
        """Take or renew the lease; return whether it is held.

        Raises:
            BrokerUnavailable: no reply in time.
            StreamFull: the bucket is at its byte cap.
        """
        began, key, value = time.monotonic(), subjects.stream_lease_key(), self.owner.encode()
        found = await self._bucket.read(key)
        if found.value not in {None, value}:
            return False
        written = await self._bucket.write(key, value, found.revision, ttl_s=self._times.held_s)
        if written is None:
            return False
        self._revision = written
        self._valid_until = began + self._times.held_s - self._times.margin_s
        return True

    async def keep(self) -> None:
        """Renew the lease, and return once it is lost."""
        pause_s = self._times.renew_s
        while self.is_held:
            await asyncio.sleep(min(pause_s, max(0.0, self._valid_until - time.monotonic())))
            try:
                if not await self.take():
                    break
                pause_s = self._times.renew_s
            except (BrokerUnavailable, StreamFull) as error:
                log.debug("stream_lease_not_renewed", error=str(error))
                pause_s = self._times.retry_s
        self._valid_until = 0.0

    async def release(self) -> None:
        """Give the lease up, so that another fetcher can take it at once; if that fails, it expires."""
        self._valid_until = 0.0
        with suppress(BrokerUnavailable, StreamFull):
            await self._bucket.delete(subjects.stream_lease_key(), self._revision)
