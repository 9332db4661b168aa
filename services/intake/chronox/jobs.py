"""The jobs of runs: queued like any others, at most so many at a time, and followed to their ends."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gexlake.api.jobs import Priority, Status
from gexlake.api.priorities.rules import DataType
from services.intake.chronox.backoff import repeated
from services.intake.history.commands import JobCommands
from services.intake.history.request import HistoryRequest
from services.intake.priorities.facts import Origin
from services.intake.state.projection import Projection
from shared.bus.requests import Channel
from shared.job_states import JobState
from shared.massive.resources import FlatFile, MassiveUrls, MinuteBars, Resource, Snapshots
from shared.process.failpoints import failpoint

_LOOK_AGAIN_S: Final = 30.0
"""A job is looked at this often even if nothing was heard of it."""
_DONE: Final = frozenset({Status.COMPLETED, Status.SKIPPED})


@dataclass(frozen=True)
class JobEnd:
    """How a job ended."""

    name: str
    """What it fetched, for people."""
    error: str | None = None
    records: int = 0
    at: datetime | None = None
    staged_at: datetime | None = None
    """When its file was staged, if it has one: the import begins later."""


class JobChanges:
    """Wakes those that wait for jobs."""

    def __init__(self) -> None:
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    def changed(self, _before: JobState | None, after: JobState) -> None:
        """Take in a job's state, as the projection changes it."""
        for event in self._waiting.get(after.job.job_id, ()):
            event.set()

    @contextmanager
    def of(self, job_id: UUID) -> Iterator[asyncio.Event]:
        """Provide an event that is set at each change of a job."""
        changed = asyncio.Event()
        events = self._waiting[job_id]
        events.add(changed)
        try:
            yield changed
        finally:
            events.discard(changed)
            if not events:
                self._waiting.pop(job_id, None)


class RunJobs:
    """Queues jobs and waits for their ends.

    Args:
        changes: reports changes of jobs.
        projection: what is known of jobs.
        commands: queues jobs.
        urls: of the vendor.
        max_jobs: how many jobs of all runs are queued and not ended at a time; further ones wait here.
    """

    def __init__(
        self,
        changes: JobChanges,
        projection: Projection,
        commands: JobCommands,
        urls: MassiveUrls,
        max_jobs: int,
    ) -> None:
        self._changes = changes
        self._projection = projection
        self._commands = commands
        self._urls = urls
        self._slots = asyncio.Semaphore(max_jobs)
        self._shared: dict[UUID, asyncio.Task[JobEnd]] = {}

    def request_of(
        self, resource: Resource, priority: Priority | None = None, ticker: str | None = None
    ) -> HistoryRequest:
        """Return the request for a resource.

        Args:
            resource: what to fetch.
            priority: None for as the rules decide.
            ticker: of a batch of several symbols.
        """
        is_snapshot = isinstance(resource, Snapshots)
        return HistoryRequest(
            ticker=ticker or resource.ticker,
            endpoint=resource.endpoint,
            trading_day=resource.day if isinstance(resource, FlatFile) else None,
            base_url=self._urls.base_url_of(resource),
            url=self._urls.url_of(resource),
            priority=priority,
            origin=Origin(
                Channel.CHRONOX, data_type=DataType.SNAPSHOT if is_snapshot else DataType.HISTORICAL
            ),
        )

    async def bars(
        self,
        resource: MinuteBars | FlatFile,
        registered_at: datetime,
        since: datetime,
        priority: Priority | None,
    ) -> JobEnd:
        """Fetch bars and return how that ended; runs that wait for the same job share it.

        Args:
            resource: what to fetch.
            registered_at: when its symbol was: an import of a flat file that may have begun before lacks it.
            since: a job that ended from then on counts, and is not queued again.
            priority: None for as the rules decide.
        """
        request, name = self.request_of(resource, priority), _name_of(resource)
        end = await self._share(request, name, since)
        if end.error is None and end.staged_at is not None and end.staged_at < registered_at:
            end = await self._share(request, name, None)
        return end

    async def snapshots(self, request: HistoryRequest) -> JobEnd:
        """Queue a job for snapshots and return how it ended."""
        return await self._execute(request, "snapshots", None)

    def unfinished(self, request: HistoryRequest) -> bool:
        """Return whether the job of a request has not ended."""
        state = self._projection.job(request.job_id)
        return state is not None and not state.is_finished

    async def stop(self) -> None:
        """Wait for no job any more."""
        tasks = tuple(self._shared.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _share(self, request: HistoryRequest, name: str, since: datetime | None) -> JobEnd:
        task = self._shared.get(request.job_id)
        if task is None:
            task = asyncio.create_task(self._execute(request, name, since))
            self._shared[request.job_id] = task
            task.add_done_callback(lambda _: self._shared.pop(request.job_id))
        return await asyncio.shield(task)

    async def _execute(self, request: HistoryRequest, name: str, since: datetime | None) -> JobEnd:
        async with self._slots:
            await repeated(lambda: self._queue(request, since), f"queue {name}")
            return _end_of(await self.ended(request), name)

    async def _queue(self, request: HistoryRequest, since: datetime | None) -> None:
        self._projection.require_rebuilt()
        state = self._projection.job(request.job_id)
        if since is None or state is None or not state.is_finished or state.updated_at < since:
            await self._commands.accept(request)
            failpoint("intake.run_job_queued")

    async def ended(self, request: HistoryRequest) -> JobState:
        """Wait for the end of a job, and return its state."""
        with self._changes.of(request.job_id) as changed:
            while True:
                changed.clear()
                state = self._projection.job(request.job_id)
                if state is not None and state.is_finished:
                    return state
                if state is None:  # EVENTS was created again
                    await repeated(lambda: self._commands.accept(request), "queue a job again")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await changed.wait()


def _end_of(state: JobState, name: str) -> JobEnd:
    if state.status in _DONE:
        staged_at = next((step.at for step in state.transitions if step.state is Status.STAGED), None)
        records = sum((state.counts or {}).values())
        return JobEnd(name, records=records, at=state.updated_at, staged_at=staged_at)
    return JobEnd(name, error=state.error or f"the job {state.job.job_id} was {state.status}")


def _name_of(resource: MinuteBars | FlatFile) -> str:
    if isinstance(resource, FlatFile):
        return f"the flat file of {resource.day}"
    adjusted = "adjusted bars" if resource.adjusted else "bars"
    return f"{adjusted} from {resource.first} to {resource.last}"
