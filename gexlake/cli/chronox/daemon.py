"""Keep the registered symbols running: start the scheduler, run what has not run, and log the runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from gexlake.api.chronox.runs import ExecuteResult
from gexlake.api.chronox.symbols import RunOutcome, SymbolsList, SymbolStatus
from gexlake.cli.answers import read_as
from gexlake.cli.chronox.log import LineLog, LogLevel
from gexlake.cli.chronox.runs import RunsFollower, log_execution
from gexlake.cli.errors import CommandFailed
from gexlake.cli.intake_client import Intake

_LOOK_S: Final = 2.0
_RETRY_S: Final = 5.0
_NEW_SYMBOLS_S: Final = 60.0
"""How often symbols are looked for that were registered or switched on since."""


def keep_running(intake: Intake, log: LineLog, body: Mapping[str, Any], stop: threading.Event) -> None:
    """Execute the registry, follow all runs, and run new symbols, until ``stop`` is set.

    The services do the work: what this process logs is lost with it, and nothing else.
    """
    log.write(LogLevel.INFO, "daemon_started")
    _until_done(lambda: _start_scheduler(intake, log), log, stop)
    _until_done(lambda: _execute(intake, log, body), log, stop)
    follower, looked_s = RunsFollower(intake, log), time.monotonic()
    while not stop.wait(_LOOK_S):
        try:
            follower.look()
            if not body.get("symbols") and time.monotonic() - looked_s >= _NEW_SYMBOLS_S:
                looked_s = time.monotonic()
                if symbols := _not_run(intake):
                    _execute(intake, log, {**body, "symbols": symbols})
        except CommandFailed as error:
            log.write(LogLevel.WARN, "intake_unavailable", error=str(error), retry_in_s=_RETRY_S)
            stop.wait(_RETRY_S)
    log.write(LogLevel.INFO, "daemon_stopped")


def _until_done(work: Any, log: LineLog, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            work()
        except CommandFailed as error:
            log.write(LogLevel.WARN, "intake_unavailable", error=str(error), retry_in_s=_RETRY_S)
            stop.wait(_RETRY_S)
        else:
            return


def _start_scheduler(intake: Intake, log: LineLog) -> None:
    intake.start_scheduler()
    log.write(LogLevel.INFO, "scheduler_started")


def _execute(intake: Intake, log: LineLog, body: Mapping[str, Any]) -> None:
    log_execution(log, read_as(ExecuteResult, intake.execute(body), "an execution"))


def _not_run(intake: Intake) -> list[str]:
    """Return the enabled symbols that have not run since they were registered or switched on."""
    answer = intake.symbols({"enabled_only": True, "status": SymbolStatus.IDLE})
    return [
        found.symbol
        for found in read_as(SymbolsList, answer, "a list of symbols").symbols
        if found.run is None and (found.last_run is None or found.last_run.outcome is RunOutcome.STOPPED)
    ]
