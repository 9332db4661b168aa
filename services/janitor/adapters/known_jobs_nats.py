"""The jobs that EVENTS holds, kept in memory and brought up to date on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nats.js.errors import NotFoundError

from services.janitor.errors import NotCaughtUp
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.follower import follow_events
from shared.job_states import JobState, JobStates

CATCH_UP_TIMEOUT_S: Final = 30.0


class KnownJobs:
    """Follows EVENTS for as long as the janitor runs."""

    def __init__(self, bus: Bus, timeout_s: float = CATCH_UP_TIMEOUT_S) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._states = JobStates()
        self._sequence = 0
        self._advanced = asyncio.Condition()

    async def follow(self) -> None:
        """Apply every event, forever."""
        async for followed in follow_events(self._bus):
            if followed.content is not None:
                self._states.apply(*followed.content)
            async with self._advanced:
                self._sequence = followed.sequence
                self._advanced.notify_all()

    async def as_of_now(self) -> Sequence[JobState]:
        """Return the state of every job, once the newest event that EVENTS holds at the call is applied.

        Raises:
            BrokerUnavailable: no answer in time.
            NotCaughtUp: the newest event was not reached in time.
        """
        last = await self._last_sequence()
        try:
            async with asyncio.timeout(self._timeout_s), self._advanced:
                await self._advanced.wait_for(lambda: self._sequence >= last)
        except TimeoutError:
            raise NotCaughtUp(self._sequence, last) from None
        return tuple(self._states)

    async def _last_sequence(self) -> int:
        with translate_errors(f"read the end of {subjects.EVENTS}"):
            try:
                message = await self._bus.js.get_last_msg(subjects.EVENTS, subjects.ALL_EVENTS)
            except NotFoundError:
                return 0
        return message.seq or 0
