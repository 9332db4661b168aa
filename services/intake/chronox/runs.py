"""Runs in the bucket SYMBOLS: begun, moved on, ended and taken over by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from gexlake.api.chronox.runs import Execute, ExecuteOutcome, SymbolExecution
from gexlake.api.chronox.symbols import EndedRun, Phase, RegisteredSymbol, Run, RunOutcome, SymbolStatus
from services.intake.chronox.errors import RunLost
from services.intake.symbols.lease import OwnerLease
from services.intake.symbols.store import SymbolStore
from shared.process.failpoints import failpoint


class RunStore:
    """Writes runs; each step is on the broker's disk when a method returns.

    Args:
        symbols: writes symbols.
        lease: of this intake.
        clock: the present moment.
    """

    def __init__(self, symbols: SymbolStore, lease: OwnerLease, clock: Callable[[], datetime]) -> None:
        self._symbols = symbols
        self._lease = lease
        self._clock = clock

    @property
    def owner(self) -> str:
        """This intake."""
        return self._lease.owner

    async def start(self, symbol: str, asked: Execute) -> SymbolExecution:
        """Begin a run of a symbol, unless it has one; this intake is its owner.

        Raises:
            BrokerUnavailable: no ack in time; the run may have begun all the same.
        """
        await self._lease.renew()
        planned, run_id = SymbolExecution(symbol=symbol, outcome=ExecuteOutcome.UNKNOWN), uuid4()

        def begun(found: RegisteredSymbol) -> RegisteredSymbol | None:
            nonlocal planned
            planned = execution_of(found, asked)
            if planned.outcome is not ExecuteOutcome.PLANNED:
                return None
            run = Run(
                run_id=run_id,
                owner=self.owner,
                phases=planned.phases,
                phase=planned.phases[0],
                started_at=self._clock(),
                start=asked.start,
                end=asked.end,
                adjusted=asked.adjusted,
                priority=asked.priority,
            )
            return found.model_copy(
                update={"status": SymbolStatus.RUNNING, "error_message": None, "run": run}
            )

        if await self._symbols.update(symbol, begun) is None:
            return planned
        failpoint("intake.run_begun")
        return planned.model_copy(update={"outcome": ExecuteOutcome.STARTED, "run_id": run_id})

    async def take_over(self, symbol: str, run: Run) -> bool:
        """Become the owner of a run; return False if it has ended or has another owner by now.

        Raises:
            BrokerUnavailable: no ack in time.
        """
        await self._lease.renew()

        def taken(found: RegisteredSymbol) -> RegisteredSymbol | None:
            if found.run is None or (found.run.run_id, found.run.owner) != (run.run_id, run.owner):
                return None
            return found.model_copy(update={"run": found.run.model_copy(update={"owner": self.owner})})

        is_taken = await self._symbols.update(symbol, taken) is not None
        if is_taken:
            failpoint("intake.run_taken_over")
        return is_taken

    async def note_progress(self, symbol: str, run: Run, done: int, total: int) -> None:
        """Write how many jobs of its phase have ended.

        Raises:
            RunLost: the run is not this intake's any more.
            BrokerUnavailable: no ack in time.
        """
        await self._change(symbol, run, {}, {"jobs_done": done, "jobs_total": total})

    async def enter(self, symbol: str, run: Run, phase: Phase, records: int, ended: dict[str, Any]) -> None:
        """Enter the next phase.

        Args:
            symbol: which.
            run: its run.
            phase: the next one.
            records: of the phases that ended.
            ended: what the end of the phase before changes in the symbol.

        Raises:
            RunLost: the run is not this intake's any more.
            BrokerUnavailable: no ack in time.
        """
        moved = {"phase": phase, "records": records, "jobs_done": 0, "jobs_total": None}
        await self._change(symbol, run, ended, moved)
        failpoint("intake.run_phase_entered")

    async def end(
        self, symbol: str, run: Run, phase: Phase, records: int, ended: dict[str, Any], error: str | None
    ) -> None:
        """End a run: with an error, or completed.

        Raises:
            RunLost: the run is not this intake's any more.
            BrokerUnavailable: no ack in time.
        """
        last = EndedRun(
            run_id=run.run_id,
            outcome=RunOutcome.FAILED if error else RunOutcome.COMPLETED,
            phase=phase,
            started_at=run.started_at,
            ended_at=max(self._clock(), run.started_at),
            records=records,
        )
        status = SymbolStatus.ERROR if error else SymbolStatus.IDLE
        changes = {**ended, "status": status, "error_message": error, "last_run": last}
        await self._change(symbol, run, changes, None)
        failpoint("intake.run_ended")

    async def clear(self, symbol: str) -> None:
        """Make idle what has the status of a run, and no run.

        Raises:
            BrokerUnavailable: no ack in time.
        """

        def cleared(found: RegisteredSymbol) -> RegisteredSymbol | None:
            if found.run is not None or found.status is not SymbolStatus.RUNNING:
                return None
            return found.model_copy(update={"status": SymbolStatus.IDLE})

        await self._symbols.update(symbol, cleared)

    async def _change(
        self, symbol: str, run: Run, changes: dict[str, Any], of_run: dict[str, Any] | None
    ) -> None:
        """Change a symbol and its run; the run ends if ``of_run`` is None."""

        def changed(found: RegisteredSymbol) -> RegisteredSymbol:
            now = found.run
            if now is None or (now.run_id, now.owner) != (run.run_id, self.owner):
                raise RunLost(f"the run of {symbol} is not this intake's any more")
            left = None if of_run is None else now.model_copy(update=of_run)
            return found.model_copy(update={**changes, "run": left})

        if await self._symbols.update(symbol, changed) is None:
            raise RunLost(f"{symbol} is not registered any more")


def execution_of(found: RegisteredSymbol, asked: Execute) -> SymbolExecution:
    """Return what a request to run a symbol comes to, as if it were a dry run."""
    phases = tuple(phase for phase in found.strategy.phases if not asked.phases or phase in asked.phases)
    if not found.enabled:
        outcome = ExecuteOutcome.DISABLED
    elif found.run is not None:
        outcome = ExecuteOutcome.RUNNING
    elif not phases:
        outcome = ExecuteOutcome.NOTHING_TO_DO
    else:
        outcome = ExecuteOutcome.PLANNED
    return SymbolExecution(
        symbol=found.symbol,
        strategy=found.strategy,
        outcome=outcome,
        phases=phases,
        run_id=found.run.run_id if found.run else None,
    )
