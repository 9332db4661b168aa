"""``gexlake chronox``: the flags of the first system, and symbols and days beside them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType
from typing import Annotated, Any, Final

import typer

from gexlake.api.chronox.runs import ExecuteOutcome, ExecuteResult
from gexlake.api.chronox.symbols import Phase
from gexlake.cli.answers import read_as
from gexlake.cli.backfill.command import INTERRUPTED
from gexlake.cli.chronox.daemon import keep_running
from gexlake.cli.chronox.log import LineLog, LogLevel
from gexlake.cli.chronox.runs import FOLLOWED, RunsFollower, log_execution
from gexlake.cli.chronox.snapshot import check_snapshot
from gexlake.cli.following.watch import follow
from gexlake.cli.intake_client import Intake
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

POLL_S: Final = 1.0


def chronox(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL]...", help="By default, all enabled ones.")
    ] = None,
    test_snapshot: Annotated[
        str | None,
        typer.Option("--test-snapshot", metavar="SYMBOL", help="Fetch a snapshot of it, print and check it."),
    ] = None,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Start the scheduler, run the symbols, and follow their runs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; do nothing.")] = False,
    start: Annotated[str | None, typer.Option(help="The first day of the backfill: 2025-09-02.")] = None,
    end: Annotated[str | None, typer.Option(help="The last day of the backfill.")] = None,
    phase: Annotated[
        list[Phase] | None, typer.Option(help="Only this phase; may be given several times.")
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", case_sensitive=False, help="What is logged.")
    ] = LogLevel.INFO,
) -> None:
    """Run registered symbols through backfill, snapshot and stream, and follow them to the end.

    The log goes to standard output, a JSON object a line. The exit status is 1 when a symbol fails. Runs go
    on in the services when this command is interrupted; the same command follows them again.
    """
    if sum((test_snapshot is not None, daemon, dry_run)) > 1:
        raise typer.BadParameter("give one of --test-snapshot, --daemon and --dry-run")
    asked: dict[str, Any] = {"symbols": symbols or [], "phases": phase or [], "start": start, "end": end}
    body = {name: value for name, value in asked.items() if value}
    with Intake(load(CliSettings)) as intake:
        if test_snapshot is not None:
            is_good = check_snapshot(intake, LineLog(log_level, sys.stderr), test_snapshot)
        elif daemon:
            keep_running(intake, LineLog(log_level, sys.stdout), body, stopped_by_signals())
            is_good = True
        else:
            is_good = _run_once(intake, LineLog(log_level, sys.stdout), {**body, "dry_run": dry_run})
    if not is_good:
        raise typer.Exit(1)


def _run_once(intake: Intake, log: LineLog, body: dict[str, Any]) -> bool:
    """Execute and follow to the end; return whether no symbol failed and all are known."""
    begun = time.monotonic()
    result = read_as(ExecuteResult, intake.execute(body), "an execution")
    log_execution(log, result)
    unknown = sum(one.outcome is ExecuteOutcome.UNKNOWN for one in result.symbols)
    if result.dry_run:
        return not unknown
    wanted = [one.run_id for one in result.symbols if one.outcome in FOLLOWED and one.run_id]
    follower = RunsFollower(intake, log, wanted)
    try:
        seen = follow(follower.look, lambda _: None, poll_s=POLL_S)
    except KeyboardInterrupt:
        log.write(LogLevel.WARN, "registry_execution_not_followed", reason="interrupted; the runs go on")
        raise typer.Exit(INTERRUPTED) from None
    log.write(
        LogLevel.INFO,
        "registry_execution_completed",
        symbols=len(result.symbols),
        completed=seen.completed,
        failed=seen.failed,
        elapsed=round(time.monotonic() - begun, 3),
    )
    return not (seen.failed or unknown)


def stopped_by_signals() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set; a second signal ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop
