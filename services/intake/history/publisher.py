"""Publish commands and events about jobs: in time, one request at a time for each job, and each only once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from services.intake.history.decisions import is_same_work, joins
from services.intake.history.stored_commands import read_command
from services.intake.state.broker_link import BrokerLink
from services.intake.state.projection import Projection
from shared.bus import subjects
from shared.bus.connection import Bus, LastEvent, translate_errors
from shared.bus.messages import Command, Event, FetchFile, Job
from shared.process.failpoints import failpoint
from shared.sources.url_encryption import UrlCipher

ANSWER_WITHIN_S: Final = 4.5
"""Limit on all acks and locks that a request waits for: clients get a response within 5 s."""


class JobPublisher:
    """Publishes what clients ask for.

    Args:
        link: the broker, if it is there.
        projection: what is known of jobs; it gets each event at once.
        clock: the present moment.
        url_cipher: encrypts the URLs of what is published.
        answer_within_s: when to give up waiting for acks.
    """

    def __init__(
        self,
        link: BrokerLink,
        projection: Projection,
        clock: Callable[[], datetime],
        url_cipher: UrlCipher,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._link = link
        self._projection = projection
        self._clock = clock
        self._url_cipher = url_cipher
        self._answer_within_s = answer_within_s
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @property
    def busy(self) -> int:
        """How many jobs have a request in hand."""
        return len(self._locks)

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[Bus]:
        """Provide the connection, for as long as a client waits for its answer.

        Raises:
            BrokerUnavailable: there is none, or no acks in time.
            NotReady: intake does not know yet which jobs there are.
        """
        with translate_errors("store the request"):
            async with asyncio.timeout(self._answer_within_s):
                bus = self._link.require()
                self._projection.require_rebuilt()
                yield bus

    @asynccontextmanager
    async def alone(self, job_id: UUID) -> AsyncIterator[None]:
        """Let the requests for one job in one after the other."""
        lock = self._locks.setdefault(job_id, asyncio.Lock())
        async with lock:
            yield

    async def last_event(self, bus: Bus, job_id: UUID) -> LastEvent:
        """Return the last event of a job, once that event and those before it are applied here.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        last = await bus.read_last(subjects.events_of(job_id))
        await self._projection.has_applied(last.sequence)
        return last

    async def publish(self, bus: Bus, command: Command, replay_of: str | None = None) -> tuple[Command, int]:
        """Publish a command; return the one that stands in JOBS now, and where.

        The broker drops a command whose generation it has seen. When what it has seen asks for something
        else (a request that never got its answer), or is from before a cancellation, the command becomes the
        next generation.
        """
        if isinstance(command, FetchFile):
            command = self._url_cipher.encrypt(command)
        failpoint("intake.accepted")
        while True:
            ack = await bus.publish_command(command, replay_of)
            if not ack.duplicate:
                break
            standing = await read_command(bus, subjects.JOBS, ack.seq)
            is_valid = standing is not None and self._is_valid(standing.job)
            if standing is not None and is_valid and replay_of is None:
                command = joins(command, standing)
            if standing is not None and is_valid and is_same_work(standing, command):
                command = standing
                break
            job = command.job.model_copy(update={"generation": command.job.generation + 1})
            command = command.model_copy(update={"job": job})
        failpoint("intake.command_published")
        return command, ack.seq

    async def announce(self, bus: Bus, event: Event, last: LastEvent | None = None) -> None:
        """Publish an event and apply it.

        Args:
            bus: the connection.
            event: the event.
            last: the event is refused unless this is still the last of its subject or filter.

        Raises:
            BrokerUnavailable: no ack in time.
            SequenceChanged: ``last`` is not the last any more; nothing is stored.
        """
        at = max(self._clock(), event.job.requested_at)
        await bus.publish_event(event, at, last)
        failpoint("intake.event_published")
        self._projection.apply(event, at)

    def _is_valid(self, job: Job) -> bool:
        """Return whether workers execute a generation: not one from before a cancellation."""
        state = self._projection.job(job.job_id)
        return state is None or job.requested_at >= state.requests_from
