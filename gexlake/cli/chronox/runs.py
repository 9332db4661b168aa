"""Runs as they go on, told in log lines."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from gexlake.api.chronox.runs import (
    ExecuteOutcome,
    ExecuteResult,
    RunsList,
    RunView,
    SymbolExecution,
)
from gexlake.api.chronox.symbols import RunOutcome
from gexlake.cli.answers import read_as
from gexlake.cli.chronox.log import LineLog, LogLevel
from gexlake.cli.intake_client import Intake

FOLLOWED: Final = (ExecuteOutcome.STARTED, ExecuteOutcome.RUNNING)
_ENDS: Final = {
    RunOutcome.COMPLETED: (LogLevel.INFO, "symbol_execution_completed"),
    RunOutcome.FAILED: (LogLevel.ERROR, "symbol_execution_failed"),
    RunOutcome.STOPPED: (LogLevel.WARN, "symbol_execution_stopped"),
}


def log_execution(log: LineLog, result: ExecuteResult) -> None:
    """Write what came of a request to execute, a line a symbol."""
    for one in result.symbols:
        named = {"symbol": one.symbol, "strategy": one.strategy}
        match one.outcome:
            case ExecuteOutcome.PLANNED:
                log.write(
                    LogLevel.INFO,
                    "symbol_execution_planned",
                    **named,
                    phases=one.phases,
                    jobs=one.jobs,
                    dry_run=True,
                )
            case ExecuteOutcome.STARTED:
                log.write(LogLevel.INFO, "symbol_execution_started", **named, **_at_start(one))
            case ExecuteOutcome.RUNNING:
                log.write(LogLevel.INFO, "symbol_execution_in_progress", **named)
            case _:
                level = LogLevel.ERROR if one.outcome is ExecuteOutcome.UNKNOWN else LogLevel.WARN
                log.write(level, "symbol_execution_skipped", **named, reason=one.outcome)


def _at_start(one: SymbolExecution) -> dict[str, Any]:
    return {"phase": one.phases[0] if one.phases else None, "records": 0, "elapsed": 0.0}


@dataclass(frozen=True)
class Look:
    """What was seen of the runs that are followed."""

    unfinished: int
    completed: int
    failed: int

    @property
    def is_finished(self) -> bool:
        """Whether all have ended."""
        return self.unfinished == 0


class RunsFollower:
    """Looks at runs and logs what is new.

    Args:
        intake: the connection.
        log: gets the lines.
        wanted: the runs to follow, by id; None for all, also those of others.
    """

    def __init__(self, intake: Intake, log: LineLog, wanted: Iterable[UUID] | None = None) -> None:
        self._intake = intake
        self._log = log
        self._waited = None if wanted is None else set(wanted)
        self._seen: dict[UUID, RunView] = {}
        self._counts = dict.fromkeys(RunOutcome, 0)
        self._is_first = True

    def look(self) -> Look:
        """Log the phases that were entered, and the ends, since the last look."""
        runs = {run.run_id: run for run in self._runs()}
        for run in runs.values():
            if self._waited is None or run.run_id in self._waited:
                self._note(run)
        if self._waited is not None:
            self._waited -= {run_id for run_id, run in runs.items() if run.outcome is not None}
            for run_id in self._waited - runs.keys():  # the symbol was deleted, or has a later run
                self._waited.discard(run_id)
                seen = self._seen.get(run_id)
                self._log.write(
                    LogLevel.WARN, "symbol_execution_stopped", symbol=seen.symbol if seen else None
                )
        self._seen = {run_id: seen for run_id, seen in self._seen.items() if run_id in runs}
        self._is_first = False
        unfinished = sum(run.outcome is None for run in runs.values())
        return Look(
            unfinished if self._waited is None else len(self._waited),
            self._counts[RunOutcome.COMPLETED],
            self._counts[RunOutcome.FAILED],
        )

    def _runs(self) -> list[RunView]:
        return read_as(RunsList, self._intake.runs(), "a list of runs").runs

    def _note(self, run: RunView) -> None:
        before = self._seen.get(run.run_id)
        self._seen[run.run_id] = run
        if before is not None and (before.outcome, before.phase) == (run.outcome, run.phase):
            return
        if run.outcome is None:
            is_new = before is None and self._waited is None
            message = "symbol_execution_started" if is_new else "symbol_phase_entered"
            if before is not None or is_new:
                self._log.write(LogLevel.INFO, message, **_named(run), elapsed=_elapsed(run))
        elif before is not None or self._waited is not None or not self._is_first:
            level, message = _ENDS[run.outcome]
            self._counts[run.outcome] += 1
            self._log.write(level, message, **_named(run), error=run.error_message, elapsed=_elapsed(run))


def _named(run: RunView) -> dict[str, Any]:
    return {
        "symbol": run.symbol,
        "strategy": run.strategy,
        "phase": run.phase,
        "records": run.records,
    }


def _elapsed(run: RunView) -> float:
    ended = run.ended_at or datetime.fromtimestamp(time.time(), tz=run.started_at.tzinfo)
    return round(max(0.0, (ended - run.started_at).total_seconds()), 3)
