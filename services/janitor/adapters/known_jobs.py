"""The jobs as EVENTS tells of them: a projection that is kept in memory and brought up to date on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from nats.js.errors import NotFoundError

from services.janitor.errors import NotCaughtUp
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.follower import follow
from shared.job_states import JobState, JobStates

CATCH_UP_TIMEOUT_S: Final = 30.0


class Jobs(Protocol):
    """Where the duties learn of jobs."""

    async def as_of_now(self) -> Sequence[JobState]:
        """Return the state of every job that EVENTS remembers, no fact of this moment left out.

        Raises:
            Transient: it is not known at present.
        """
        ...


class KnownJobs:
    """Follows EVENTS for as long as the janitor runs."""

    def __init__(self, bus: Bus, timeout_s: float = CATCH_UP_TIMEOUT_S) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._states = JobStates()
        self._sequence = 0
        self._moved = asyncio.Condition()

    async def follow(self) -> None:
        """Take in every fact, for ever."""
        async for told in follow(self._bus, subjects.EVENTS, subjects.ALL_EVENTS):
            if told.data is not None:
                self._states.apply_message(told.subject, told.data)
            async with self._moved:
                self._sequence = told.sequence
                self._moved.notify_all()

    async def as_of_now(self) -> Sequence[JobState]:
        """Return the state of every job, once the newest fact that EVENTS holds by now is taken in.

        Raises:
            BrokerUnavailable: no answer in time.
            NotCaughtUp: not all was read in time.
        """
        last = await self._last_sequence()
        try:
            async with asyncio.timeout(self._timeout_s), self._moved:
                await self._moved.wait_for(lambda: self._sequence >= last)
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
