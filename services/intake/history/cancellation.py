"""Cancel jobs that no worker has: their commands are not executed any more."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import structlog

from gexlake.api.jobs import Status
from services.intake.errors import Conflict
from services.intake.history.priority_change import unknown_request
from services.intake.history.publisher import JobPublisher
from services.intake.history.replay import unknown_job
from services.intake.state.projection import Projection
from shared.bus.connection import LastEvent
from shared.bus.messages import JobCancelled, JobStarted
from shared.errors import SequenceChanged
from shared.job_states import JobState

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Cancellation:
    """Who cancels a job, and why."""

    by: str
    """Which client, without its key."""
    reason: str | None = None


class Cancellations:
    """Cancels jobs.

    Args:
        publisher: publishes.
        projection: what is known of jobs.
    """

    def __init__(self, publisher: JobPublisher, projection: Projection) -> None:
        self._publisher = publisher
        self._projection = projection

    async def cancel_request(self, request_id: UUID, asked: Cancellation) -> JobState:
        """Cancel the job of a request, as ``cancel_job`` does.

        Raises:
            NotFound: the request is unknown.
        """
        self._projection.require_rebuilt()
        known = self._projection.request(request_id)
        if known is None:
            raise unknown_request(request_id)
        return await self.cancel_job(known.job.job_id, asked, request_id)

    async def cancel_job(self, job_id: UUID, asked: Cancellation, request_id: UUID | None = None) -> JobState:
        """Cancel a job; return its state, also if it was cancelled before.

        Args:
            job_id: which job.
            asked: who cancels it, and why.
            request_id: the request that the job must belong to; any if not given.

        Raises:
            NotFound: the job is unknown.
            Conflict: a worker has begun, or the job has ended.
            BrokerUnavailable: no ack in time; the same request may be sent again.
            NotReady: intake does not know yet which jobs there are.
        """
        async with self._publisher.in_time() as bus, self._publisher.alone(job_id):
            while True:
                last = await self._publisher.last_event(bus, job_id)
                state = self._state(job_id, request_id)
                if state.status is Status.CANCELLED:
                    return state
                _require_cancellable(state, self._projection.job(job_id), last)
                event = JobCancelled(job=state.job, reason=asked.reason, by=asked.by)
                try:
                    await self._publisher.announce(bus, event, last)
                except SequenceChanged:  # a worker, or another request, was first
                    continue
                log.info("job_cancelled", job_id=str(job_id), generation=state.job.generation)
                return self._state(job_id, request_id)

    def _state(self, job_id: UUID, request_id: UUID | None) -> JobState:
        state = self._projection.request(request_id) if request_id else self._projection.job(job_id)
        if state is None:
            raise unknown_job(job_id)
        return state


def _require_cancellable(state: JobState, newest: JobState | None, last: LastEvent) -> None:
    job_id = state.job.job_id
    if newest is None or (newest.job != state.job and not state.is_finished):
        raise Conflict(
            "request_id", "ended", f"the job {job_id} goes on for a later request: cancel it by the job's id"
        )
    if state.is_finished:
        raise Conflict(
            "status", "ended", f"the job {job_id} has ended and is {state.status}: there is nothing to cancel"
        )
    # The start of a stage that the job has passed changes no state.
    has_just_started = last.content is not None and isinstance(last.content.event, JobStarted)
    if state.is_begun or has_just_started:
        raise Conflict(
            "status",
            "begun",
            f"the {state.stage} of the job {job_id} has begun: a job is cancelled before its fetch or its "
            "import begins, and while it waits for another attempt; try again then",
        )
