"""The state that intake keeps in memory: jobs from EVENTS, progress and heartbeats from core NATS.

It is kept in memory only, and rebuilt from EVENTS at every start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from nats.aio.msg import Msg
from pydantic import ValidationError

from services.intake.errors import NotReady
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import FollowedEvent, follow_events
from shared.bus.messages import Event
from shared.bus.reports.presence import Heartbeat
from shared.bus.reports.progress import Progress
from shared.job_states import KEPT_FOR, JobState, JobStates

HEARTBEATS_KEPT_FOR: Final = timedelta(hours=1)
_SWEEP_EVERY: Final = timedelta(hours=1)


class EventWatcher(Protocol):
    """Counts events, for metrics."""

    def saw(self, event: Event, at: datetime, *, live: bool) -> None:
        """Take note of an event; ``live`` is False for those read while the projection is rebuilt."""


OnChange = Callable[[JobState | None, JobState], None]
"""Takes in a job's state before an event, None if the job was unknown, and after it."""


class Projection:
    """Jobs, requests, progress and heartbeats.

    Args:
        clock: the present moment.
        watcher: gets every event of EVENTS once, in order.
        on_change: called in turn after every change of a job's state.
        on_drop: called for each job that is dropped, 30 days after its last event.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        watcher: EventWatcher,
        on_change: Sequence[OnChange] = (),
        on_drop: Sequence[Callable[[JobState], None]] = (),
    ) -> None:
        self._clock = clock
        self._watcher = watcher
        self._on_change = tuple(on_change)
        self._jobs = JobStates(on_drop=tuple(on_drop))
        self._requests: dict[UUID, JobState] = {}
        self._progress: dict[UUID, Progress] = {}
        self._heartbeats: dict[tuple[str, str], Heartbeat] = {}
        self._swept_at = clock()
        self._sequence = 0
        self._advanced = asyncio.Event()
        self.is_rebuilt = False
        """Whether everything that EVENTS held at the start has been taken in."""

    @property
    def jobs(self) -> tuple[JobState, ...]:
        """All jobs, in no order."""
        return tuple(self._jobs)

    def job(self, job_id: UUID) -> JobState | None:
        """Return one job."""
        return self._jobs.by_id.get(job_id)

    @property
    def requests(self) -> tuple[JobState, ...]:
        """The last state of the job of each request, in no order; a job may have had several requests."""
        return tuple(self._requests.values())

    def request(self, request_id: UUID) -> JobState | None:
        """Return the last state that the job of a request had as long as it was the request's."""
        return self._requests.get(request_id)

    def progress(self, state: JobState) -> Progress | None:
        """Return how far the job's present stage has come, as far as it was reported."""
        progress = self._progress.get(state.job.job_id)
        is_current = progress and (progress.generation, progress.stage) == (state.job.generation, state.stage)
        return progress if is_current else None

    def heartbeats(self) -> tuple[Heartbeat, ...]:
        """Return the last heartbeat of every service and instance within the last hour."""
        oldest = self._clock() - HEARTBEATS_KEPT_FOR
        return tuple(beat for _, beat in sorted(self._heartbeats.items()) if beat.at >= oldest)

    def require_rebuilt(self) -> None:
        """Refuse while jobs may be missing.

        Raises:
            NotReady: the rebuild is not done.
        """
        if not self.is_rebuilt:
            raise NotReady(
                "rebuilding",
                "intake has not yet read from the broker which jobs there are; nothing is stored, try again",
            )

    def apply(self, event: Event, at: datetime) -> None:
        """Apply an event; applying it twice changes nothing."""
        job_id = event.job.job_id
        before = self.job(job_id)
        after = self._jobs.apply(event, at)
        if after != before:
            if after.request is not None:
                self._requests[after.request.request_id] = after
            for on_change in self._on_change:
                on_change(before, after)
        self._forget_progress_of_finished(job_id)

    async def has_applied(self, sequence: int) -> None:
        """Wait until the events of EVENTS up to a sequence are applied."""
        while self._sequence < sequence:
            self._advanced.clear()
            await self._advanced.wait()

    async def listen(self, bus: Bus) -> None:
        """Take in progress and heartbeats as they come; the subscriptions outlive a lost connection."""
        await bus.client.subscribe(subjects.ALL_PROGRESS, cb=self._on_progress)
        await bus.client.subscribe(subjects.ALL_HEARTBEATS, cb=self._on_heartbeat)

    async def follow(self, bus: Bus) -> None:
        """Apply every event of EVENTS, the oldest first, forever."""
        async for followed in follow_events(bus):
            self._on_event(followed)

    def _on_event(self, followed: FollowedEvent) -> None:
        self.is_rebuilt = followed.caught_up
        if followed.content is not None:
            event, at = followed.content
            self.apply(event, at)
            self._watcher.saw(event, at, live=self.is_rebuilt)
        self._sequence = followed.sequence
        self._advanced.set()
        self._sweep_if_due()

    def _sweep_if_due(self) -> None:
        now = self._clock()
        if now - self._swept_at < _SWEEP_EVERY:
            return
        self._swept_at = now
        self._progress = {job_id: progress for job_id, progress in self._progress.items() if self.job(job_id)}
        self._requests = {
            request_id: state
            for request_id, state in self._requests.items()
            if state.updated_at >= now - KEPT_FOR
        }
        self._heartbeats = {
            key: beat for key, beat in self._heartbeats.items() if beat.at >= now - HEARTBEATS_KEPT_FOR
        }

    def _forget_progress_of_finished(self, job_id: UUID) -> None:
        state = self.job(job_id)
        if state is None or state.is_finished:
            self._progress.pop(job_id, None)

    async def _on_progress(self, message: Msg) -> None:
        try:
            progress = Progress.model_validate_json(message.data)
        except ValidationError:
            return
        state = self.job(progress.job_id)
        if state is not None and not state.is_finished:
            self._progress[progress.job_id] = progress

    async def _on_heartbeat(self, message: Msg) -> None:
        try:
            beat = Heartbeat.model_validate_json(message.data)
        except ValidationError:
            return
        self._heartbeats[beat.service, beat.instance] = beat
        self._sweep_if_due()
