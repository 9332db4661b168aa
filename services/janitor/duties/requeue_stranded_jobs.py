"""Duty: find jobs that no message will move on any more, and ask intake to requeue them.

A job is suspect when it is unfinished and nothing was heard of it for a while. That alone says little: it may
wait in a long queue, or be in a worker's hands. So its commands are looked up, and its consumer is asked:

    the command is not in JOBS any more            nothing will deliver it: gone
    it stands after what was delivered             it is still to come, while anything is
    it stands at or before the ack floor           acknowledged or terminated: gone
    it stands between the two                      in doubt, and gone only if the consumer waits for no ack

A message to be delivered again, after a nak or a silent worker, counts as waiting for its ack. The place of a
command may be unknown, because intake publishes it before the fact that tells its place, and what an older
generation told says nothing of it: then it is gone only if its consumer has nothing left to deliver and waits
for no ack. A job in its import is also moved on by its fetch command, whose redelivery asks for the import
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from gexlake.api.jobs import Stage
from services.janitor.duty import Counts, Jobs
from services.janitor.errors import ReplayRefused
from shared.bus.subjects import durable
from shared.job_states import JobState

REFUSED_FOR: Final = timedelta(days=1)
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RequeueConfig:
    """When a job is taken to be stranded.

    Args:
        stranded_after: nothing was heard of it for so long.
        max_jobs: at most so many are requeued in one round, the longest silent first.
        interval_s: from round to round.
        max_lookups: at most so many suspects are looked up in one round.
    """

    stranded_after: timedelta
    max_jobs: int
    interval_s: float
    max_lookups: int = 500


@dataclass(frozen=True)
class ConsumerProgress:
    """How far a durable consumer of JOBS has come; sequences are those of the stream."""

    delivered: int
    ack_floor: int
    to_deliver: int
    """How many messages were never delivered yet."""
    unacknowledged: int
    """How many were delivered and wait for their ack, those to be delivered again included."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing left to deliver, and waits for no ack."""
        return self.to_deliver == 0 and self.unacknowledged == 0


@dataclass(frozen=True)
class Command:
    """The place of one command of a job."""

    job_id: UUID
    consumer: str
    sequence: int
    """In JOBS; 0 when it is not known."""


@dataclass(frozen=True)
class Asked:
    """That a generation of a job was asked for, and until when it is not asked for again."""

    generation: int
    until: datetime


Consumers = Mapping[str, ConsumerProgress]


class Queues(Protocol):
    """JOBS and its consumers."""

    async def consumers(self) -> Consumers:
        """Return the progress of every consumer that exists, by name."""
        ...

    async def holds(self, command: Command) -> bool:
        """Tell whether JOBS still holds a command."""
        ...


class Replays(Protocol):
    """Intake's replay endpoint."""

    async def replay(self, job_id: UUID) -> None:
        """Have a job's command published again.

        Raises:
            ReplayRefused: it cannot be, now or later.
            Transient: it was not, but may be later.
        """
        ...


def commands_of(state: JobState) -> Iterator[Command]:
    """Yield the commands that may still move a job on."""
    job = state.job
    for stage in (Stage.FETCH,) if state.stage is Stage.FETCH else (Stage.IMPORT, Stage.FETCH):
        yield Command(job.job_id, durable(stage, job.priority), state.known_command_seq(stage))


def is_to_come(command: Command, consumers: Consumers) -> bool:
    """Tell whether a consumer has yet to deliver a command, without looking at the command itself."""
    progress = consumers.get(command.consumer)
    # A consumer that was deleted is restored by its workers, and then delivers everything again.
    return progress is None or (command.sequence > progress.delivered and progress.to_deliver > 0)


def is_gone(command: Command, consumers: Consumers, held: Mapping[Command, bool]) -> bool:
    """Tell whether nothing will deliver a command any more."""
    if is_to_come(command, consumers):
        return False
    progress = consumers[command.consumer]
    if command.sequence == 0 or command.sequence > progress.delivered:
        return progress.is_idle or (command.sequence > 0 and not held[command])
    return not held[command] or command.sequence <= progress.ack_floor or progress.unacknowledged == 0


def suspects(
    jobs: Iterable[JobState],
    consumers: Consumers,
    asked: Mapping[UUID, Asked],
    now: datetime,
    config: RequeueConfig,
) -> tuple[JobState, ...]:
    """Return the jobs whose commands are worth looking up, the longest silent first."""

    def is_suspect(state: JobState) -> bool:
        if state.is_finished or now - state.updated_at <= config.stranded_after:
            return False
        before = asked.get(state.job.job_id)
        if before is not None and before.generation == state.job.generation and now < before.until:
            return False
        return not any(is_to_come(command, consumers) for command in commands_of(state))

    silent = sorted(filter(is_suspect, jobs), key=lambda state: (state.updated_at, state.job.job_id))
    return tuple(silent[: config.max_lookups])


def plan(
    jobs: Iterable[JobState],
    consumers: Consumers,
    held: Mapping[Command, bool],
    asked: Mapping[UUID, Asked],
    now: datetime,
    config: RequeueConfig,
) -> tuple[JobState, ...]:
    """Return the jobs to requeue now, the longest silent first.

    A job with a command that was not looked up (``held`` does not tell) is left for another round.
    """
    stranded = [
        state
        for state in suspects(jobs, consumers, asked, now, config)
        if all(
            (command.sequence == 0 or command in held) and is_gone(command, consumers, held)
            for command in commands_of(state)
        )
    ]
    return tuple(stranded[: config.max_jobs])


class RequeueStrandedJobs:
    """The duty, wired to the queues and to intake."""

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
        self._asked: dict[UUID, Asked] = {}

    @property
    def interval_s(self) -> float:
        """How long from round to round."""
        return self._config.interval_s

    async def run_once(self) -> Counts:
        """Requeue what is stranded.

        Raises:
            Transient: the jobs or the queues are not known at present, or intake does not answer.
        """
        counts = {"requeued": 0, "refused": 0}
        for state in await self._stranded():
            counts["requeued" if await self._requeue(state) else "refused"] += 1
        return counts

    async def _stranded(self) -> tuple[JobState, ...]:
        now = self._clock()
        self._asked = {job_id: asked for job_id, asked in self._asked.items() if now < asked.until}
        # The jobs are read last: the fact that goes with an ack seen here is told before the ack.
        consumers = await self._queues.consumers()
        doubtful = suspects(await self._jobs.as_of_now(), consumers, self._asked, now, self._config)
        commands = {command for state in doubtful for command in commands_of(state) if command.sequence}
        held = {command: await self._queues.holds(command) for command in commands}
        return plan(await self._jobs.as_of_now(), consumers, held, self._asked, now, self._config)

    async def _requeue(self, state: JobState) -> bool:
        job = state.job
        try:
            await self._replays.replay(job.job_id)
        except ReplayRefused as error:
            self._asked[job.job_id] = Asked(job.generation, self._clock() + REFUSED_FOR)
            log.warning(
                "stranded_job_lost", job_id=str(job.job_id), reason=error.reason, advice=_advice(error)
            )
            return False
        self._asked[job.job_id] = Asked(job.generation, self._clock() + self._config.stranded_after)
        silent_s = round((self._clock() - state.updated_at).total_seconds())
        log.warning("job_requeued", job_id=str(job.job_id), stage=state.stage, silent_s=silent_s)
        return True


def _advice(error: ReplayRefused) -> str:
    return "its message has expired: post its URL again" if error.code == 404 else "replay it by hand"
