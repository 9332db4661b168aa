"""Duty: find jobs that no message in JOBS can advance any more, and have intake requeue them.

A job is suspected when it is unfinished and has had no event for a while. It may still wait in a long queue,
or a worker may hold it. So its commands and the progress of their consumers are looked up:

    the command is no longer in JOBS                it will not be delivered: gone
    its sequence is after the delivered ones        pending, as long as the consumer has any pending
    its sequence is at or before the ack floor      acknowledged or terminated: gone
    its sequence is in between                      gone only if the consumer waits for no ack

A message to be redelivered, after a nak or a lost worker, counts as waiting for its ack. The sequence of a
command is unknown until the event that carries it has arrived, since intake publishes the command first. Such
a command is gone only if its consumer has nothing pending and waits for no ack. A job in its import is also
advanced by its fetch command, whose redelivery publishes the import command again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from gexlake.api.jobs import Stage
from services.janitor.duty import Counts, Every, Jobs
from services.janitor.errors import ReplayRefused
from shared.bus.subjects import durable
from shared.job_states import JobState

REFUSED_FOR: Final = timedelta(days=1)
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RequeueConfig:
    """When a job counts as stranded, and how many are handled in one round.

    Args:
        stranded_after: how long a job has had no event.
        max_jobs: the maximum number requeued in one round, the oldest last event first.
        interval_s: seconds from the start of one round to the start of the next.
        max_lookups: the maximum number of suspected jobs looked up in one round.
    """

    stranded_after: timedelta
    max_jobs: int
    interval_s: float
    max_lookups: int = 500


@dataclass(frozen=True)
class ConsumerProgress:
    """The progress of a durable consumer of JOBS, in stream sequences."""

    delivered: int
    ack_floor: int
    to_deliver: int
    """How many messages have not been delivered yet."""
    unacknowledged: int
    """How many were delivered and wait for their ack, including those to be redelivered."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to deliver and waits for no ack."""
        return self.to_deliver == 0 and self.unacknowledged == 0


@dataclass(frozen=True)
class CommandPosition:
    """The position of one command of a job."""

    job_id: UUID
    consumer: str
    sequence: int
    """Stream sequence in JOBS; 0 when unknown."""


@dataclass(frozen=True)
class RecentReplay:
    """The generation of a job whose replay was requested, and until when it is not requested again."""

    generation: int
    until: datetime


Consumers = Mapping[str, ConsumerProgress]


class Queues(Protocol):
    """JOBS and its consumers."""

    async def consumers(self) -> Consumers:
        """Return the progress of every existing consumer, by name."""
        ...

    async def stores(self, command: CommandPosition) -> bool:
        """Return whether JOBS still holds a command."""
        ...


class Replays(Protocol):
    """Intake's replay endpoint."""

    async def replay(self, job_id: UUID) -> None:
        """Request that a job's command is published again.

        Raises:
            ReplayRefused: intake refuses, now or later.
            Transient: the request failed; a later one may succeed.
        """
        ...


def commands_of(state: JobState) -> Iterator[CommandPosition]:
    """Yield the commands that may still advance a job."""
    job = state.job
    for stage in (Stage.FETCH,) if state.stage is Stage.FETCH else (Stage.IMPORT, Stage.FETCH):
        yield CommandPosition(job.job_id, durable(stage, job.priority), state.known_command_seq(stage))


def is_pending(command: CommandPosition, consumers: Consumers) -> bool:
    """Return whether a consumer has yet to deliver a command, without a look-up of the command."""
    progress = consumers.get(command.consumer)
    # Workers restore a deleted consumer, which then delivers everything again.
    return progress is None or (command.sequence > progress.delivered and progress.to_deliver > 0)


def is_gone(command: CommandPosition, consumers: Consumers, stored: Mapping[CommandPosition, bool]) -> bool:
    """Return whether a command will not be delivered any more."""
    if is_pending(command, consumers):
        return False
    progress = consumers[command.consumer]
    if command.sequence == 0 or command.sequence > progress.delivered:
        return progress.is_idle or (command.sequence > 0 and not stored[command])
    return not stored[command] or command.sequence <= progress.ack_floor or progress.unacknowledged == 0


def suspects(
    jobs: Iterable[JobState],
    consumers: Consumers,
    replayed: Mapping[UUID, RecentReplay],
    now: datetime,
    config: RequeueConfig,
) -> tuple[JobState, ...]:
    """Return the jobs whose commands are to be looked up, the oldest last event first."""

    def is_suspect(state: JobState) -> bool:
        if state.is_finished or now - state.updated_at <= config.stranded_after:
            return False
        before = replayed.get(state.job.job_id)
        if before is not None and before.generation == state.job.generation and now < before.until:
            return False
        return not any(is_pending(command, consumers) for command in commands_of(state))

    silent = sorted(filter(is_suspect, jobs), key=lambda state: (state.updated_at, state.job.job_id))
    return tuple(silent[: config.max_lookups])


def plan(
    jobs: Iterable[JobState],
    consumers: Consumers,
    stored: Mapping[CommandPosition, bool],
    replayed: Mapping[UUID, RecentReplay],
    now: datetime,
    config: RequeueConfig,
) -> tuple[JobState, ...]:
    """Return the jobs to requeue now, the oldest last event first.

    A job with a command that was not looked up (not in ``stored``) waits for another round.
    """
    stranded = [
        state
        for state in suspects(jobs, consumers, replayed, now, config)
        if all(
            (command.sequence == 0 or command in stored) and is_gone(command, consumers, stored)
            for command in commands_of(state)
        )
    ]
    return tuple(stranded[: config.max_jobs])


class RequeueStrandedJobs:
    """The duty."""

    name = "requeue_stranded_jobs"

    def __init__(
        self,
        config: RequeueConfig,
        jobs: Jobs,
        queues: Queues,
        replays: Replays,
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._queues = queues
        self._replays = replays
        self._clock = clock
        self._replayed: dict[UUID, RecentReplay] = {}

    @property
    def trigger(self) -> Every:
        """When its rounds start."""
        return Every(self._config.interval_s)

    async def run_once(self) -> Counts:
        """Requeue the stranded jobs; return counts.

        Raises:
            Transient: the jobs or queues are unknown at present, or intake does not answer.
        """
        counts = {"requeued": 0, "refused": 0}
        for state in await self._stranded():
            counts["requeued" if await self._requeue(state) else "refused"] += 1
        return counts

    async def _stranded(self) -> tuple[JobState, ...]:
        now = self._clock()
        self._replayed = {
            job_id: replayed for job_id, replayed in self._replayed.items() if now < replayed.until
        }
        # The jobs are read last: an event is published before the ack of its command.
        consumers = await self._queues.consumers()
        suspected = suspects(await self._jobs.as_of_now(), consumers, self._replayed, now, self._config)
        commands = {command for state in suspected for command in commands_of(state) if command.sequence}
        stored = {command: await self._queues.stores(command) for command in commands}
        return plan(await self._jobs.as_of_now(), consumers, stored, self._replayed, now, self._config)

    async def _requeue(self, state: JobState) -> bool:
        job = state.job
        try:
            await self._replays.replay(job.job_id)
        except ReplayRefused as error:
            self._replayed[job.job_id] = RecentReplay(job.generation, self._clock() + REFUSED_FOR)
            log.warning(
                "stranded_job_lost", job_id=str(job.job_id), reason=error.reason, advice=_advice(error)
            )
            return False
        self._replayed[job.job_id] = RecentReplay(job.generation, self._clock() + self._config.stranded_after)
        silent_s = round((self._clock() - state.updated_at).total_seconds())
        log.warning("job_requeued", job_id=str(job.job_id), stage=state.stage, silent_s=silent_s)
        return True


def _advice(error: ReplayRefused) -> str:
    return "its message has expired: post its URL again" if error.code == 404 else "replay it by hand"
