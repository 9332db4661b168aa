"""Execute requests of clients: queue a file, replay a job. They succeed only after the broker's acks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gexlake.api.services import ReplayQueued
from services.intake.history.decisions import (
    AlreadyQueued,
    decide,
    digest_of_command,
    for_request,
    request_in,
)
from services.intake.history.publisher import JobPublisher
from services.intake.history.replay import (
    KnownJob,
    Replay,
    find_command,
    find_command_of_job,
    next_generation,
)
from services.intake.history.request import HistoryRequest
from services.intake.history.stored_commands import read_command_of
from services.intake.priorities.overrides import as_of
from services.intake.priorities.prioritizer import Prioritizer
from services.intake.state.projection import Projection
from shared.bus.connection import Bus
from shared.bus.messages import Command, Job, JobReplayed, JobRequested
from shared.bus.requests import PriorityRequest
from shared.bus.storage import posted_files
from shared.job_states import JobState

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Accepted:
    """A request whose job is in the broker."""

    job: Job
    request: PriorityRequest
    is_new: bool
    """Whether something was published for it."""


class JobCommands:
    """Publishes the commands that clients ask for; one request at a time for each job.

    Args:
        publisher: publishes.
        projection: what is known of jobs.
        prioritizer: decides how urgent a request is.
        clock: the present moment.
    """

    def __init__(
        self,
        publisher: JobPublisher,
        projection: Projection,
        prioritizer: Prioritizer,
        clock: Callable[[], datetime],
    ) -> None:
        self._publisher = publisher
        self._projection = projection
        self._prioritizer = prioritizer
        self._clock = clock

    async def accept(self, asked: HistoryRequest) -> Accepted:
        """Queue a file, unless the same request is under way already.

        Raises:
            BrokerUnavailable: no acks in time; the same request may be sent again and is one job.
            StreamFull: JOBS, or BODIES for a posted file, is at its byte cap.
            UrlKeysUnusable: the keys that encrypt URLs cannot be read.
            NotReady: intake does not know yet which jobs or rules there are.
        """
        async with self._publisher.in_time() as bus, self._publisher.alone(asked.job_id):
            state = self._projection.job(asked.job_id)
            request = self._prioritizer.request_of(asked.demand)
            decision = decide(asked, request, state, await _standing(bus, state))
            if isinstance(decision, AlreadyQueued):
                log.info("job_already_queued", **_named(decision.job))
                queued = decision.job
                estimated = self._prioritizer.estimated(
                    decision.request, queued.ticker, queued.endpoint, queued
                )
                return Accepted(queued, estimated, is_new=False)
            wanted = decision.command
            wanted = for_request(wanted, self._estimated(wanted.job, wanted.request or request))
            if asked.posted:
                # The file is durable before the command that names it.
                body_seq = await posted_files.publish(
                    bus, asked.job_id, asked.posted.packed, asked.posted.sha256
                )
                wanted = wanted.model_copy(update={"body_seq": body_seq})
            command, sequence = await self._publisher.publish(bus, wanted)
            request = request_in(command) or request
            event = JobRequested(
                job=command.job,
                command_seq=sequence,
                url_sha256=asked.url_sha256,
                force=command.force,
                reason=command.reason,
                request=request,
            )
            await self._publisher.announce(bus, event)
            log.info("job_queued", **_named(command.job))
            return Accepted(command.job, request, is_new=True)

    def _estimated(self, job: Job, request: PriorityRequest) -> PriorityRequest:
        return self._prioritizer.estimated(request, job.ticker, job.endpoint)

    async def replay(self, asked: Replay) -> ReplayQueued:
        """Publish a command again, as a new generation.

        Raises:
            BrokerUnavailable: no acks in time.
            StreamFull: JOBS is at its byte cap.
            UrlKeysUnusable: the keys that encrypt URLs cannot be read.
            NotFound: there is no such job or message.
            NotReady: intake does not know yet which jobs there are.
            Unprocessable: what was found is no command, or force has no reason.
        """
        target, options = asked.target, asked.options
        async with self._publisher.in_time() as bus:
            if isinstance(target, KnownJob):
                found, job_id = None, target.job_id
            else:
                found = await find_command(bus, target, options.stage)
                job_id = found.job.job_id
            async with self._publisher.alone(job_id):
                state = self._projection.job(job_id)
                found = found or await find_command_of_job(bus, job_id, state, options.stage)
                again = next_generation(found, state, options, self._clock())
                known = (state.request if state else None) or request_in(found)
                return await self._replay(bus, again, known, target.replay_of)

    async def _replay(
        self, bus: Bus, again: Command, known: PriorityRequest | None, replay_of: str
    ) -> ReplayQueued:
        command, sequence = await self._publisher.publish(bus, again, replay_of)
        event = JobReplayed(
            job=command.job,
            stage=command.STAGE,
            replay_of=replay_of,
            command_seq=sequence,
            url_sha256=digest_of_command(command),
            force=command.force,
            reason=command.reason,
            request=as_of(command.job, request_in(command) or known),
        )
        await self._publisher.announce(bus, event)
        log.info("job_replayed", stage=command.STAGE, replay_of=replay_of, **_named(command.job))
        return ReplayQueued(
            id=command.job.job_id,
            generation=command.job.generation,
            stage=command.STAGE,
            replay_of=replay_of,
            command_seq=sequence,
        )


async def _standing(bus: Bus, state: JobState | None) -> Command | None:
    """Return the command that moves an unfinished job on, if it can still be read."""
    if state is None or state.is_finished or state.command_seq == 0:
        return None
    return await read_command_of(bus, state.job.job_id, state.stage, state.command_seq)


def _named(job: Job) -> dict[str, object]:
    return {
        "job_id": str(job.job_id),
        "generation": job.generation,
        "ticker": job.ticker,
        "endpoint": job.endpoint,
        "priority": str(job.priority),
    }
