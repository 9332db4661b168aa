"""Requests to run symbols and to refresh snapshots: checked, and begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from gexlake.api.chronox.runs import (
    Execute,
    ExecuteOutcome,
    ExecuteResult,
    RefreshSnapshots,
    SnapshotsRefreshed,
    SymbolExecution,
)
from gexlake.api.chronox.symbols import Phase, RegisteredSymbol
from services.intake.bars.vendor_key import no_key_anywhere
from services.intake.chronox.errors import PhaseFailed
from services.intake.chronox.phases import Phases
from services.intake.chronox.plan import Asked
from services.intake.chronox.runs import RunStore, execution_of
from services.intake.chronox.snapshots import SnapshotBatches
from services.intake.errors import Conflict, Unprocessable
from services.intake.state.projection import Projection
from services.intake.symbols.known import KnownSymbols
from shared.gexbot.trading_day import NEW_YORK
from shared.massive.symbols import check_symbol

_AT_ONCE: Final = 64
"""How many runs are begun at a time: the broker flushes its disk for each."""
log = structlog.get_logger(__name__)


class Executions:
    """Begins runs, and queues the jobs that refresh snapshots.

    Args:
        known: the registry.
        projection: knows the services.
        runs: writes runs.
        phases: knows how many jobs a backfill has.
        snapshots: fetches snapshots.
        clock: the present moment.
    """

    def __init__(
        self,
        known: KnownSymbols,
        projection: Projection,
        runs: RunStore,
        phases: Phases,
        snapshots: SnapshotBatches,
        clock: Callable[[], datetime],
    ) -> None:
        self._known = known
        self._projection = projection
        self._runs = runs
        self._phases = phases
        self._snapshots = snapshots
        self._clock = clock

    async def execute(self, asked: Execute) -> ExecuteResult:
        """Begin runs; they go on after this returns, whatever becomes of this intake.

        Raises:
            Unprocessable: a day is in the future, or a history begins on no day.
            Conflict: no fetcher has a key of the vendor; no run is begun.
            NotReady: intake does not know yet which symbols there are.
            BrokerUnavailable: no acks in time; some runs may have begun.
        """
        self._known.require_read()
        self._projection.require_rebuilt()
        self._check_days(asked)
        names = asked.symbols or [found.symbol.symbol for found in self._known.all if found.symbol.enabled]
        if asked.dry_run:
            executions = await self._planned(names, asked)
        else:
            self._require_key(names)
            executions = await self._begun(names, asked)
        started = sum(one.outcome is ExecuteOutcome.STARTED for one in executions)
        log.info("registry_executed", symbols=len(executions), started=started, dry_run=asked.dry_run)
        return ExecuteResult(symbols=tuple(executions), started=started, dry_run=asked.dry_run)

    async def refresh_snapshots(self, asked: RefreshSnapshots) -> SnapshotsRefreshed:
        """Have snapshots fetched again.

        Raises:
            Unprocessable: a symbol is not written as the vendor writes symbols.
            Conflict: no fetcher has a key of the vendor; nothing is queued.
            NotReady: intake does not know yet which symbols there are.
            BrokerUnavailable: no acks in time; some jobs may be queued.
        """
        self._known.require_read()
        self._projection.require_rebuilt()
        symbols = [_checked(symbol) for symbol in asked.symbols] or [
            found.symbol.symbol
            for found in self._known.all
            if found.symbol.enabled and Phase.SNAPSHOT in found.symbol.strategy.phases
        ]
        self._require_key(symbols)
        return await self._snapshots.refresh(symbols)

    async def _begun(self, names: Sequence[str], asked: Execute) -> list[SymbolExecution]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def begin(symbol: str) -> SymbolExecution:
            async with slots:
                return await self._runs.start(symbol, asked)

        return await asyncio.gather(*(begin(symbol) for symbol in dict.fromkeys(names)))

    async def _planned(self, names: Sequence[str], asked: Execute) -> list[SymbolExecution]:
        found = {symbol: self._known.get(symbol) for symbol in dict.fromkeys(names)}
        planned = [
            execution_of(known.symbol, asked)
            if known
            else SymbolExecution(symbol=symbol, outcome=ExecuteOutcome.UNKNOWN)
            for symbol, known in found.items()
        ]
        backfills: list[RegisteredSymbol] = [
            known.symbol
            for one in planned
            if one.outcome is ExecuteOutcome.PLANNED
            and Phase.BACKFILL in one.phases
            and (known := found[one.symbol])
        ]
        try:
            jobs = await self._phases.count_jobs(backfills, Asked(asked.start, asked.end, asked.adjusted))
        except PhaseFailed as error:
            raise Unprocessable("metadata", "day", str(error)) from error
        return [
            one.model_copy(
                update={"jobs": jobs.get(one.symbol, 0) + (Phase.SNAPSHOT in one.phases)}
                if one.outcome is ExecuteOutcome.PLANNED
                else {}
            )
            for one in planned
        ]

    def _check_days(self, asked: Execute) -> None:
        today = self._clock().astimezone(NEW_YORK).date()
        for field, day in (("start", asked.start), ("end", asked.end)):
            if day is not None and day > today:
                message = f"{field}: {day} is in the future (in New York it is {today})"
                raise Unprocessable(field, "future", message)

    def _require_key(self, symbols: Sequence[str]) -> None:
        if symbols and no_key_anywhere(self._projection.heartbeats(), self._clock()):
            raise Conflict(
                None,
                "vendor_key",
                "no fetcher has a key of Massive, so nothing is begun: set POLYGON_API_KEY where it runs (in "
                ".env), start gexlake again and repeat the request",
            )


def _checked(text: str) -> str:
    try:
        return check_symbol(text)
    except ValueError as error:
        raise Unprocessable("symbols", "symbol", f"symbols: {error}") from error
