"""The lease of this intake on the runs that it drives: a key of its own in the bucket SYMBOLS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from services.intake.state.broker_link import BrokerLink
from shared.bus import subjects
from shared.bus.storage.bucket import Bucket
from shared.process.failpoints import failpoint

_RENEWALS: Final = 3
"""How often the lease is renewed while it lasts."""


class OwnerLease:
    """Writes the key; a run whose owner's key is missing or older than the lease may be taken over.

    The id is new at every start: an intake that was started again takes over what it had before.

    Args:
        link: the connection.
        lease_s: how long the key counts.
        clock_s: monotonic seconds.
    """

    def __init__(
        self, link: BrokerLink, lease_s: float, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.owner = uuid4().hex[:12]
        self.lease_s = lease_s
        self._link = link
        self._clock_s = clock_s
        self._revision = 0
        self._written_at_s: float | None = None
        self._lock = asyncio.Lock()

    async def renew(self) -> None:
        """Write the key, unless it was written just now.

        Raises:
            BrokerUnavailable: no ack in time.
        """
        async with self._lock:
            now_s = self._clock_s()
            if self._written_at_s is not None and now_s - self._written_at_s < self.lease_s / _RENEWALS:
                return
            await self._write()
            self._written_at_s = now_s
            failpoint("intake.run_owner_written")

    async def release(self) -> None:
        """Delete the key: others take over at once.

        Raises:
            BrokerUnavailable: no ack in time.
        """
        async with self._lock:
            if self._written_at_s is not None:
                self._written_at_s = None
                await self._bucket.delete(self._key, self._revision)

    async def revision_of(self, owner: str) -> int | None:
        """Return the revision of an owner's key; None if it has none.

        Raises:
            BrokerUnavailable: the broker did not reply in time.
        """
        value, revision = await self._bucket.read(subjects.run_owner_key(owner))
        return None if value is None else revision

    async def forget(self, owner: str, revision: int) -> None:
        """Delete the key of an owner whose lease is over, unless it was renewed since.

        Raises:
            BrokerUnavailable: no ack in time.
        """
        await self._bucket.delete(subjects.run_owner_key(owner), revision)

    async def _write(self) -> None:
        value = self.owner.encode()
        written = await self._bucket.write(self._key, value, self._revision)
        while written is None:  # deleted by another, or the bucket is new
            _, self._revision = await self._bucket.read(self._key)
            written = await self._bucket.write(self._key, value, self._revision)
        self._revision = written

    @property
    def _key(self) -> str:
        return subjects.run_owner_key(self.owner)

    @property
    def _bucket(self) -> Bucket:
        return Bucket(self._link.require(), subjects.SYMBOLS)
