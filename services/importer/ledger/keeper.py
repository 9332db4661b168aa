"""Keep ledger and requests up to date with EVENTS, with the jobs that never reached an import too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final
from uuid import UUID

import duckdb
import structlog

from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger import table
from services.importer.ledger.requests import RequestState, record_requests
from services.importer.ledger.rows import updated_by
from shared.bus.connection import Bus
from shared.bus.follower import follow_events
from shared.bus.messages import Event
from shared.errors import Transient
from shared.job_states import JobState, JobStates

_RETRY_S: Final = 1.0
_AT_ONCE: Final = 40
"""The maximum number of jobs in one transaction: imports wait in the meantime."""
_COLLECT_S: Final = 0.5
"""How long changes are collected before the next write: an import publishes several events within moments."""
log = structlog.get_logger(__name__)


def record(lake: Lake, jobs: Iterable[JobState], requests: Collection[RequestState] = ()) -> int:
    """Bring the rows of some jobs and requests up to their states, in one transaction.

    Args:
        lake: where.
        jobs: the newest state of each.
        requests: the newest state of each.

    Returns:
        How many rows changed.
    """
    with lake.writing() as connection, transaction(connection):
        return _record_jobs(connection, jobs) + record_requests(connection, requests)


def _record_jobs(connection: duckdb.DuckDBPyConnection, states: Iterable[JobState]) -> int:
    by_id = {str(state.job.job_id): state for state in states}
    rows = table.read(connection, by_id)
    updated = [updated_by(rows.get(job_id), state) for job_id, state in by_id.items()]
    changed = [row for row in updated if row is not None]
    table.write(connection, changed, held=rows)
    return len(changed)


class LedgerKeeper:
    """Follows EVENTS from its first message, and writes what the tables do not have yet.

    Nothing is stored between two runs: at every start the states are computed again, and those that the
    tables have already change nothing.
    """

    def __init__(self, bus: Bus, lake: Lake, writer: WriterThread) -> None:
        self._bus = bus
        self._lake = lake
        self._writer = writer
        self._requests: dict[UUID, dict[UUID, RequestState]] = {}
        """By job: it may have had several requests."""
        self._states = JobStates(on_drop=(self._forget,))
        self.on_change: list[Callable[[JobState], object]] = []
        """Called with each new state of a job."""
        self._changed: dict[UUID, set[UUID]] = {}
        """The jobs to write, each with its requests to write."""
        self._has_changes = asyncio.Event()
        self.has_caught_up = asyncio.Event()
        """Set once all events that existed at the start are applied."""

    @property
    def states(self) -> Iterable[JobState]:
        """The state of every job in EVENTS, as far as they are applied."""
        return tuple(self._states)

    def state_of(self, job_id: UUID) -> JobState | None:
        """Return the state of a job, if EVENTS has it."""
        return self._states.by_id.get(job_id)

    def write_again(self) -> None:
        """Write every known state once more: the tables may have lost rows."""
        for job_id in self._states.by_id:
            self._changed.setdefault(job_id, set()).update(self._requests.get(job_id, ()))
        if self._changed:
            self._has_changes.set()

    def apply(self, event: Event, at: datetime) -> None:
        """Apply an event; the next write has what it changes."""
        state = self._states.apply(event, at)
        job_id, request_id = state.job.job_id, state.job.request_id
        changed = self._changed.setdefault(job_id, set())
        if request_id is not None:
            requests = self._requests.setdefault(job_id, {})
            before = requests.get(request_id)
            requests[request_id] = before.followed_by(state) if before else RequestState(state)
            changed.add(request_id)
        self._has_changes.set()
        for on_change in self.on_change:
            on_change(state)

    async def follow(self) -> None:
        """Apply every event, forever."""
        async for followed in follow_events(self._bus):
            if followed.content is not None:
                self.apply(*followed.content)
            if followed.caught_up:
                self.has_caught_up.set()
            # Let other tasks run: the backlog may be a month of events.
            await asyncio.sleep(0)

    async def write(self) -> None:
        """Write changed states, forever; a write that fails is repeated later."""
        while True:
            await self._has_changes.wait()
            await self.write_some()
            if not self._changed:
                self._has_changes.clear()
                await asyncio.sleep(_COLLECT_S)

    async def write_some(self) -> None:
        """Write the changed states of some jobs; after a failure, wait and have them written again."""
        changed = {job_id: self._changed.pop(job_id) for job_id in [*islice(self._changed, _AT_ONCE)]}
        jobs = [self._states.by_id[job_id] for job_id in changed if job_id in self._states.by_id]
        known = ((self._requests.get(job_id, {}), ids) for job_id, ids in changed.items())
        requests = [states[request_id] for states, ids in known for request_id in ids & states.keys()]
        try:
            await self._writer.run(partial(record, self._lake, jobs, requests))
        except (Transient, duckdb.Error) as error:
            log.warning("ledger_behind", error=str(error), retry_in_s=_RETRY_S)
            for job_id, missing in changed.items():
                self._changed.setdefault(job_id, set()).update(missing)
            await asyncio.sleep(_RETRY_S)

    def _forget(self, state: JobState) -> None:
        """Forget the requests of a job that EVENTS has dropped."""
        self._requests.pop(state.job.job_id, None)
