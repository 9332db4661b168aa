"""The phases of a run: what each does, and what its end changes in the symbol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from gexlake.api.chronox.bars import DayRange, SymbolCoverage
from gexlake.api.chronox.symbols import Phase, RegisteredSymbol, Run, Strategy
from services.intake.bars.coverage import BarCoverage
from services.intake.chronox.backoff import repeated
from services.intake.chronox.errors import PhaseFailed
from services.intake.chronox.jobs import JobEnd, RunJobs
from services.intake.chronox.plan import Asked, Way, history_of, plan_backfill, way_of
from services.intake.chronox.snapshots import SnapshotBatches
from services.intake.errors import NotReady
from shared.bus.reports.presence import HEARTBEAT_INTERVAL_S, Heartbeat
from shared.massive.resources import FlatFile, MinuteBars

_JOBS_A_RUN: Final = 8
"""How many of its jobs a run waits for at a time."""
_MAX_FAILED: Final = 3
"""After so many failed jobs a backfill has failed: the rest would fail for the same reason."""
_IMPORTER_WITHIN_S: Final = 300.0
_PROGRESS_S: Final = 5.0
"""How often the progress of a run is written."""
_HEARTBEATS_POLL_S: Final = 0.25
_HEARTBEATS_POLLS: Final = int(2 * HEARTBEAT_INTERVAL_S / _HEARTBEATS_POLL_S)
Progress = Callable[[int, int], Awaitable[None]]
"""Takes the number of jobs that have ended, and of all."""


class _TooManyFailed(Exception):
    """A backfill waits for no further jobs: one of a recent flat file may be tried again for days."""


@dataclass(frozen=True)
class PhaseEnd:
    """What a phase brought in, and what it changes in the symbol."""

    records: int
    changes: dict[str, Any] = field(default_factory=dict)


class Phases:
    """Executes phases.

    Args:
        jobs: queues jobs and follows them.
        snapshots: fetches snapshots in batches.
        coverage: what the lake has.
        heartbeats: the last of every service.
        history_days: how long a history is by default.
        clock: the present moment.
    """

    def __init__(
        self,
        jobs: RunJobs,
        snapshots: SnapshotBatches,
        coverage: BarCoverage,
        heartbeats: Callable[[], Iterable[Heartbeat]],
        history_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._jobs = jobs
        self._snapshots = snapshots
        self._coverage = coverage
        self._heartbeats = heartbeats
        self._history_days = history_days
        self._clock = clock

    async def execute(self, phase: Phase, symbol: RegisteredSymbol, run: Run, progress: Progress) -> PhaseEnd:
        """Execute one phase; it may have been begun before, by another intake, too.

        Raises:
            PhaseFailed: it has an error.
        """
        match phase:
            case Phase.BACKFILL:
                return await self._backfill(symbol, run, progress)
            case Phase.SNAPSHOT:
                at = await self._snapshots.fetch(symbol.symbol)
                return PhaseEnd(1, {"last_snapshot": at})
            case Phase.STREAM:
                return PhaseEnd(0, {"streaming": True})

    async def count_jobs(self, symbols: Sequence[RegisteredSymbol], asked: Asked) -> dict[str, int]:
        """Return how many jobs the backfills of symbols would wait for.

        Raises:
            PhaseFailed: the history of one begins on no day.
            NotReady: the importer does not answer.
            BrokerUnavailable: the connection was lost.
        """
        ranges = {symbol.symbol: self._days(symbol, asked) for symbol in symbols}
        if not ranges:
            return {}
        widest = DayRange(
            first=min(days.first for days in ranges.values()),
            last=max(days.last for days in ranges.values()),
        )
        covered = await self._coverage.of(tuple(ranges), widest)
        counts: dict[str, int] = {}
        for symbol in symbols:
            name = symbol.symbol
            counts[name] = len(self._plan(symbol, ranges[name], covered.get(name), adjusted=asked.adjusted))
            await asyncio.sleep(0)  # planning thousands of symbols takes seconds
        return counts

    async def _backfill(self, symbol: RegisteredSymbol, run: Run, progress: Progress) -> PhaseEnd:
        days = self._days(symbol, Asked(run.start, run.end, run.adjusted))
        before = await self._covered(symbol.symbol, days)
        await self._fetchers_known(symbol)
        resources = self._plan(symbol, days, before, adjusted=run.adjusted)
        ends = await self._fetch(resources, symbol, run, progress)
        failed = [end for end in ends if end.error is not None]
        if failed:
            first, counted = failed[0], f"{len(failed)} of {len(resources)} jobs failed, first "
            raise PhaseFailed(f"{counted if len(resources) > 1 else ''}{first.name}: {first.error}")
        if any(isinstance(resource, FlatFile) for resource in resources):
            # The counts of a flat file's job are those of all symbols.
            after = await self._covered(symbol.symbol, days)
            records = max(0, _bars_in(after) - _bars_in(before))
        else:
            records = sum(end.records for end in ends)
        return PhaseEnd(records, {"last_backfill": self._clock()})

    async def _fetch(
        self,
        resources: Sequence[MinuteBars | FlatFile],
        symbol: RegisteredSymbol,
        run: Run,
        progress: Progress,
    ) -> list[JobEnd]:
        ends: list[JobEnd] = []
        waiting, written_s = iter(resources), time.monotonic() - _PROGRESS_S

        async def fetch_one_after_the_other() -> None:
            nonlocal written_s
            for resource in waiting:
                ends.append(await self._jobs.bars(resource, symbol.created_at, run.started_at, run.priority))
                if sum(end.error is not None for end in ends) >= _MAX_FAILED:
                    raise _TooManyFailed
                if time.monotonic() - written_s >= _PROGRESS_S:
                    written_s = time.monotonic()
                    await progress(len(ends), len(resources))

        if resources:
            await progress(0, len(resources))
        with suppress(_TooManyFailed):
            await _together([fetch_one_after_the_other() for _ in range(min(_JOBS_A_RUN, len(resources)))])
        return ends

    async def _covered(self, symbol: str, days: DayRange) -> SymbolCoverage | None:
        ask = partial(self._coverage.of, (symbol,), days)
        try:
            found = await repeated(ask, "ask which bars the lake has", _IMPORTER_WITHIN_S)
        except NotReady as error:
            raise PhaseFailed(str(error)) from error
        return found.get(symbol)

    async def _fetchers_known(self, symbol: RegisteredSymbol) -> None:
        """Wait for a heartbeat of a fetcher, which says whether it has the keys of flat files."""
        if symbol.strategy is Strategy.FLATPACK_API:
            return
        for _ in range(_HEARTBEATS_POLLS):
            if any(beat.service == "fetcher" for beat in self._heartbeats()):
                return
            await asyncio.sleep(_HEARTBEATS_POLL_S)

    def _days(self, symbol: RegisteredSymbol, asked: Asked) -> DayRange:
        return history_of(symbol, asked, self._clock(), self._history_days)

    def _plan(
        self, symbol: RegisteredSymbol, days: DayRange, covered: SymbolCoverage | None, *, adjusted: bool
    ) -> tuple[MinuteBars | FlatFile, ...]:
        complete = covered.complete if covered else ()
        return plan_backfill(
            symbol.symbol, self._way(symbol), days, complete, self._clock(), adjusted=adjusted
        )

    def _way(self, symbol: RegisteredSymbol) -> Way:
        fetchers = [beat for beat in self._heartbeats() if beat.service == "fetcher"]
        lacks = bool(fetchers) and all(beat.has_massive_file_keys is False for beat in fetchers)
        return way_of(symbol.strategy, has_file_keys=not lacks)


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all; the first error ends the others."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _bars_in(covered: SymbolCoverage | None) -> int:
    return covered.bars if covered else 0
