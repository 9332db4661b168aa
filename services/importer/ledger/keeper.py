"""Keep the ledger up to date with EVENTS, so that it has the jobs that never reached an import too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
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
from services.importer.ledger.rows import updated_by
from shared.bus.connection import Bus
from shared.bus.follower import follow_events
from shared.errors import Transient
from shared.job_states import JobState, JobStates

_RETRY_S: Final = 1.0
_AT_ONCE: Final = 40
"""The maximum number of rows in one transaction: imports wait in the meantime."""
_COLLECT_S: Final = 0.5
"""How long changes are collected before the next write: an import publishes several events within moments."""
log = structlog.get_logger(__name__)


def record(lake: Lake, states: Iterable[JobState]) -> int:
    """Bring the rows of some jobs up to their states, in one transaction; return how many changed."""
    by_id = {str(state.job.job_id): state for state in states}
    with lake.writing() as connection:
        rows = table.read(connection, by_id)
        updated = [updated_by(rows.get(job_id), state) for job_id, state in by_id.items()]
        changed = [row for row in updated if row is not None]
        if changed:
            with transaction(connection):
                table.write(connection, changed)
    return len(changed)


class LedgerKeeper:
    """Follows EVENTS from its first message, and writes what the ledger does not have yet.

    Nothing is stored between two runs: at every start the states are computed again, and those that the
    ledger has already change nothing.
    """

    def __init__(self, bus: Bus, lake: Lake, writer: WriterThread) -> None:
        self._bus = bus
        self._lake = lake
        self._writer = writer
        self._states = JobStates()
        self._changed: set[UUID] = set()
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
        """Write every known state once more: the ledger may have lost rows."""
        self._changed |= self._states.by_id.keys()
        if self._changed:
            self._has_changes.set()

    async def follow(self) -> None:
        """Apply every event, forever."""
        async for followed in follow_events(self._bus):
            if followed.content is not None:
                event, at = followed.content
                self._states.apply(event, at)
                self._changed.add(event.job.job_id)
                self._has_changes.set()
            if followed.caught_up:
                self.has_caught_up.set()
            # Let other tasks run: the backlog may be a month of events.
            await asyncio.sleep(0)

    async def write(self) -> None:
        """Write changed states, forever; a write that fails is repeated later."""
        while True:
            await self._has_changes.wait()
            changed = set(islice(self._changed, _AT_ONCE))
            self._changed -= changed
            known = [self._states.by_id[job_id] for job_id in changed if job_id in self._states.by_id]
            try:
                await self._writer.run(partial(record, self._lake, known))
            except (Transient, duckdb.Error) as error:
                log.warning("ledger_behind", error=str(error), retry_in_s=_RETRY_S)
                self._changed |= changed
                await asyncio.sleep(_RETRY_S)
            if not self._changed:
                self._has_changes.clear()
                await asyncio.sleep(_COLLECT_S)
