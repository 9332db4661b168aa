"""Drive the runs that this intake owns, and take over those of owners that are gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog

from gexlake.api.chronox.symbols import Phase, RegisteredSymbol, Run
from services.intake.chronox.backoff import PASSING, repeated
from services.intake.chronox.errors import PhaseFailed, RunLost
from services.intake.chronox.jobs import RunJobs
from services.intake.chronox.phases import PhaseEnd, Phases
from services.intake.chronox.reports import RunReports
from services.intake.chronox.runs import RunStore
from services.intake.chronox.snapshots import SnapshotBatches
from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.lease import OwnerLease

_TICK_S: Final = 1.0
_LOOKS_A_LEASE: Final = 5
"""The lease is renewed at looks: at a third of it, so there are more of them."""
_MAX_ERROR: Final = 2000
_RELEASE_WITHIN_S: Final = 2.0
log = structlog.get_logger(__name__)


class Orchestrator:
    """Brings each run through its phases, in order; runs go on side by side.

    Args:
        known: the registry.
        runs: writes runs.
        lease: of this intake.
        phases: executes phases.
        jobs: follows jobs.
        snapshots: follows jobs.
        reports: logs and counts.
        is_ready: whether this intake knows its jobs.
    """

    def __init__(
        self,
        known: KnownSymbols,
        runs: RunStore,
        lease: OwnerLease,
        phases: Phases,
        jobs: RunJobs,
        snapshots: SnapshotBatches,
        reports: RunReports,
        is_ready: Callable[[], bool],
    ) -> None:
        self._known = known
        self._runs = runs
        self._lease = lease
        self._phases = phases
        self._jobs = jobs
        self._snapshots = snapshots
        self._reports = reports
        self._is_ready = is_ready
        self._changed = asyncio.Event()
        self._driven: dict[UUID, asyncio.Task[None]] = {}
        self._taken: set[UUID] = set()
        self._ending: set[UUID] = set()
        """Runs whose end is being written: that it is seen in the bucket is no reason to leave them."""
        self._is_stopping = False
        known.on_change = self._changed.set

    @property
    def driven(self) -> int:
        """How many runs this intake drives."""
        return len(self._driven)

    async def keep(self) -> None:
        """Drive runs, forever; when it is cancelled, others may take them over at once."""
        tick_s = min(_TICK_S, self._lease.lease_s / _LOOKS_A_LEASE)
        try:
            while True:
                if self._known.is_read and self._is_ready():
                    try:
                        await self._look()
                    except PASSING as error:
                        log.debug("runs_not_looked_at", error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(tick_s):
                        await self._changed.wait()
                self._changed.clear()
        finally:
            await self._stop()

    async def _look(self) -> None:
        """Drive this intake's runs, leave those that it has lost, take over those without an owner."""
        unfinished = [found.symbol for found in self._known.unfinished]
        owned = {
            symbol.run.run_id: symbol
            for symbol in unfinished
            if symbol.run is not None and symbol.run.owner == self._lease.owner
        }
        for run_id, task in tuple(self._driven.items()):
            if run_id not in owned and run_id not in self._ending:
                task.cancel()
        for run_id, symbol in owned.items():
            if run_id not in self._driven and symbol.run is not None:
                self._drive(symbol, symbol.run)
        if self._driven:
            await self._lease.renew()
        gone: set[str] = set()
        for symbol in unfinished:
            await self._take_over(symbol, gone)
        await self._forget_owners(unfinished)

    async def _take_over(self, symbol: RegisteredSymbol, gone: set[str]) -> None:
        run = symbol.run
        if run is None:
            await self._runs.clear(symbol.symbol)
        elif run.owner != self._lease.owner and await self._is_gone(run.owner, gone):
            self._taken.add(run.run_id)
            if await self._runs.take_over(symbol.symbol, run):
                log.info("run_taken_over", symbol=symbol.symbol, run_id=str(run.run_id), owner=run.owner)

    async def _is_gone(self, owner: str, gone: set[str]) -> bool:
        """Return whether an owner's lease is over, in the bucket too: renewals may not have arrived here."""
        owners = self._known.owners
        if owners.is_alive(owner, self._lease.lease_s):
            return False
        if owner not in gone:
            revision = await self._lease.revision_of(owner)
            if revision is not None and revision != owners.revision(owner):
                owners.take(owner, revision, is_deleted=False)
                return False
            gone.add(owner)
        return True

    async def _forget_owners(self, unfinished: list[RegisteredSymbol]) -> None:
        named = {symbol.run.owner for symbol in unfinished if symbol.run is not None}
        for owner, revision in self._known.owners.expired(2 * self._lease.lease_s):
            if owner not in named and owner != self._lease.owner:
                await self._lease.forget(owner, revision)

    def _drive(self, symbol: RegisteredSymbol, run: Run) -> None:
        task = asyncio.create_task(self._execute(symbol, run))
        self._driven[run.run_id] = task
        task.add_done_callback(partial(self._ended, run.run_id))

    def _ended(self, run_id: UUID, task: asyncio.Task[None]) -> None:
        self._driven.pop(run_id, None)
        self._ending.discard(run_id)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected_error", exc_info=error)

    async def _execute(self, symbol: RegisteredSymbol, run: Run) -> None:
        begun_s, phase = time.monotonic(), run.phase
        self._reports.started(symbol, run, taken_over=run.run_id in self._taken)
        self._taken.discard(run.run_id)
        try:
            await self._bring_through(symbol, run, begun_s)
        except (RunLost, asyncio.CancelledError):
            if not self._is_stopping:
                self._reports.stopped(symbol, phase, time.monotonic() - begun_s)

    async def _bring_through(self, symbol: RegisteredSymbol, run: Run, begun_s: float) -> None:
        records = run.records
        remaining = run.phases[run.phases.index(run.phase) :]
        for phase, following in zip(remaining, (*remaining[1:], None), strict=True):
            phase_s = time.monotonic()
            try:
                end = await self._phase(phase, symbol, run)
            except PhaseFailed as failure:
                error = f"{phase}: {failure}"[:_MAX_ERROR]
                await self._end(symbol, run, phase, records, {}, error)
                self._reports.failed(symbol, phase, records, time.monotonic() - begun_s, error)
                return
            records += end.records
            if following is None:
                await self._end(symbol, run, phase, records, end.changes, None)
            else:
                enter = partial(self._runs.enter, symbol.symbol, run, following, records, end.changes)
                await repeated(enter, "enter the next phase")
            self._reports.phase_ended(symbol, phase, end.records, time.monotonic() - phase_s)
        self._reports.completed(symbol, run.phases[-1], records, time.monotonic() - begun_s)

    async def _phase(self, phase: Phase, symbol: RegisteredSymbol, run: Run) -> PhaseEnd:
        async def progress(done: int, total: int) -> None:
            with suppress(*PASSING):  # the next one is written
                await self._runs.note_progress(symbol.symbol, run, done, total)

        try:
            return await self._phases.execute(phase, symbol, run, progress)
        except (PhaseFailed, RunLost):
            raise
        except Exception as error:
            log.exception("unexpected_error", symbol=symbol.symbol, phase=str(phase))
            raise PhaseFailed("an unexpected error, which is in intake's log") from error

    async def _end(
        self,
        symbol: RegisteredSymbol,
        run: Run,
        phase: Phase,
        records: int,
        changes: dict[str, Any],
        error: str | None,
    ) -> None:
        self._ending.add(run.run_id)
        end = partial(self._runs.end, symbol.symbol, run, phase, records, changes, error)
        await repeated(end, "end a run")

    async def _stop(self) -> None:
        self._is_stopping = True
        tasks = tuple(self._driven.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._snapshots.stop()
        await self._jobs.stop()
        with suppress(*PASSING, TimeoutError):
            async with asyncio.timeout(_RELEASE_WITHIN_S):
                await self._lease.release()
