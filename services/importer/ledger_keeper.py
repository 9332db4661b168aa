"""Keep the ledger up to EVENTS, so that it knows the jobs that never reached an import too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final
from uuid import UUID

import duckdb
import structlog

from services.importer import ledger_duckdb
from services.importer.lake_duckdb import Lake
from services.importer.ledger import caught_up
from services.importer.statements_duckdb import transaction
from shared import subjects
from shared.bus import Bus
from shared.errors import Transient
from shared.job_states import JobState, JobStates
from shared.tail import follow

_RETRY_S: Final = 1.0
log = structlog.get_logger(__name__)


def record(lake: Lake, states: Iterable[JobState]) -> int:
    """Bring the rows of some jobs up to their states, in one transaction; return how many changed."""
    by_id = {str(state.job.job_id): state for state in states}
    with lake.writing() as connection:
        rows = ledger_duckdb.read(connection, by_id)
        news = [caught_up(rows.get(job_id), state) for job_id, state in by_id.items()]
        changed = [row for row in news if row is not None]
        if changed:
            with transaction(connection):
                ledger_duckdb.write(connection, changed)
    return len(changed)


class LedgerKeeper:
    """Follows EVENTS from its first message, and writes what the ledger does not know yet.

    Nothing has to be remembered between two runs: at every start the states are worked out again, and those
    that the ledger knows already change nothing.
    """

    def __init__(self, bus: Bus, lake: Lake) -> None:
        self._bus = bus
        self._lake = lake
        self._states = JobStates()
        self._changed: set[UUID] = set()
        self._news = asyncio.Event()

    async def follow(self) -> None:
        """Take in facts, for ever."""
        async for told in follow(self._bus, subjects.EVENTS, subjects.ALL_EVENTS):
            fact = None if told.data is None else self._states.apply_message(told.subject, told.data)
            if fact is not None:
                self._changed.add(fact[0].job.job_id)
                self._news.set()

    async def write(self) -> None:
        """Write what has changed, for ever; what cannot be written now is written later."""
        while True:
            await self._news.wait()
            self._news.clear()
            changed, self._changed = self._changed, set()
            known = [self._states.by_id[job_id] for job_id in changed if job_id in self._states.by_id]
            try:
                await asyncio.to_thread(record, self._lake, known)
            except (Transient, duckdb.Error) as error:
                log.warning("ledger_behind", error=str(error), retry_in_s=_RETRY_S)
                self._changed |= changed
                self._news.set()
                await asyncio.sleep(_RETRY_S)
