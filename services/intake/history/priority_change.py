"""Change the priority of a request: its job's command is published again, at the new level."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog

from services.intake.errors import Conflict, NotFound
from services.intake.history.decisions import digest_of_command, for_request, request_in
from services.intake.history.publisher import JobPublisher
from services.intake.history.replay import find_command_of_job
from services.intake.priorities.overrides import as_of
from services.intake.priorities.prioritizer import Choice, Prioritizer
from services.intake.state.projection import Projection
from shared.bus.connection import Bus
from shared.bus.messages import Command, JobReplayed
from shared.bus.requests import PriorityRequest
from shared.job_states import JobState

REPLAY_OF = "priority"
"""What the header ``Gex-Replay-Of`` says of a command that has another priority."""
log = structlog.get_logger(__name__)


class PriorityChanges:
    """Changes priorities; one request at a time for each job.

    Args:
        publisher: publishes.
        projection: what is known of requests; it gets each change at once.
        prioritizer: decides what follows from a client's choice.
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

    async def change(self, request_id: UUID, choice: Choice) -> None:
        """Give a request another priority; nothing happens if it has that already.

        Raises:
            BrokerUnavailable: no acks in time; the same change may be sent again.
            StreamFull: JOBS is at its byte cap.
            UrlKeysUnusable: the keys that encrypt URLs cannot be read.
            NotFound: there is no such request, or its command is gone.
            NotReady: intake does not know yet which requests there are.
            Conflict: its job is finished.
        """
        async with (
            self._publisher.in_time() as bus,
            self._publisher.alone(self._state(request_id).job.job_id),
        ):
            # A job that has just ended is not done again, nor a stage that has.
            await self._publisher.last_event(bus, self._state(request_id).job.job_id)
            state = self._state(request_id)
            request = as_of(state.job, state.request)
            if request is None or self._is_over(state):
                raise Conflict(
                    "request_id",
                    "finished",
                    f"the job of the request {request_id} is {state.status}: post the file again",
                )
            changed = self._prioritizer.overridden(request, choice, self._clock())
            if _priority(changed) != _priority(request):
                await self._publish(bus, state, changed)

    def _state(self, request_id: UUID) -> JobState:
        state = self._projection.request(request_id)
        if state is None:
            raise unknown_request(request_id)
        return state

    def _is_over(self, state: JobState) -> bool:
        newest = self._projection.job(state.job.job_id)
        return state.is_finished or newest is None or newest.job.request_id != state.job.request_id

    async def _publish(self, bus: Bus, state: JobState, changed: PriorityRequest) -> None:
        job = state.job
        found = await find_command_of_job(bus, job.job_id, state, None)
        estimated = self._prioritizer.estimated(changed, job.ticker, job.endpoint)
        again = _next_generation(found, state, estimated, self._clock())
        command, sequence = await self._publisher.publish(bus, again, REPLAY_OF)
        event = JobReplayed(
            job=command.job,
            stage=command.STAGE,
            replay_of=REPLAY_OF,
            command_seq=sequence,
            url_sha256=digest_of_command(command),
            force=command.force,
            reason=command.reason,
            request=as_of(command.job, request_in(command) or estimated),
        )
        await self._publisher.announce(bus, event)
        log.info(
            "priority_changed",
            job_id=str(job.job_id),
            generation=command.job.generation,
            stage=command.STAGE,
            before=str(job.priority),
            priority=str(command.job.priority),
        )


def unknown_request(request_id: UUID) -> NotFound:
    """Say that a request is not known, and where old ones are."""
    return NotFound(
        "request_id",
        "not_found",
        f"there is no request {request_id} of the last 30 days; older ones are in the lake "
        "(gexlake sql, table priority_requests)",
    )


def _priority(request: PriorityRequest) -> tuple[object, float]:
    return request.priority_level, request.priority_score


def _next_generation(command: Command, state: JobState, request: PriorityRequest, now: datetime) -> Command:
    job = command.job.model_copy(
        update={
            "generation": state.job.generation + 1,
            "requested_at": max(now, state.job.requested_at),
        }
    )
    return for_request(command.model_copy(update={"job": job}), request)
