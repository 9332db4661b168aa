"""``gexlake backfill``: ask for history by date, follow it, and say what became of each day."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Final

import typer

from gexlake.api.backfill import BackfillView
from gexlake.api.jobs import Priority
from gexlake.cli.backfill.days import Backfilled, Outcome, PlanJobs, read_plan
from gexlake.cli.backfill.view import outcome_shown, plan_shown, shown_on
from gexlake.cli.following.watch import follow
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

POLL_S: Final = 0.5
INTERRUPTED: Final = 130
"""The exit status after Ctrl-C, as of a shell."""


def backfill(
    tickers: Annotated[str, typer.Argument(metavar="TICKER[,TICKER]", help="NQ_NDX, or several.")],
    endpoints: Annotated[str, typer.Argument(metavar="ENDPOINT[,ENDPOINT]", help="gex_zero, or several.")],
    start: Annotated[str, typer.Argument(metavar="START", help="The first day: 2025-09-02.")],
    end: Annotated[str, typer.Argument(metavar="END", help="The last day.")],
    force: Annotated[
        bool, typer.Option("--force", help="Leave no day out, and replace by worse data.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; needed with --force.")] = None,
    priority: Annotated[
        Priority | None, typer.Option(help="How urgent it is; by default, rules decide.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; queue nothing.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Queue the days; do not follow them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Have the trading days of a range brought into the lake by way of the vendor's API.

    Days that the lake holds and those that the vendor has no data for are left out. The exit status is 1
    when a day fails. Interrupted, the jobs go on: the same command follows them and asks for what is missing.
    """
    if force and not reason:
        raise typer.BadParameter("--force needs a --reason, which the ledger keeps")
    body: dict[str, Any] = {
        "tickers": _split(tickers),
        "endpoints": _split(endpoints),
        "start": start,
        "end": end,
        "dry_run": dry_run,
        **({"priority": priority} if priority else {}),
        **({"force": True, "reason": reason} if force else {}),
    }
    with Intake(load(CliSettings)) as intake:
        answer = intake.backfill(body)
        if dry_run or no_wait:
            _print_plan(answer, as_json=as_json, every_day=dry_run)
            return
        done = _followed(intake, read_plan(answer), as_json=as_json)
    _print_outcome(answer, done, as_json=as_json)
    if done.count(Outcome.FAILED):
        raise typer.Exit(1)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _print_plan(answer: dict[str, Any], *, as_json: bool, every_day: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    console(sys.stdout).print(plan_shown(read_plan(answer), every_day=every_day))


def _followed(intake: Intake, plan: BackfillView, *, as_json: bool) -> Backfilled:
    # What is not the answer goes to stderr when stdout is for JSON.
    screen = console(sys.stderr if as_json else sys.stdout)
    screen.print(plan_shown(plan))
    try:
        with shown_on(screen, plan) as show:
            return follow(PlanJobs(plan, intake).look, show, poll_s=POLL_S)
    except KeyboardInterrupt:
        typer.echo("gexlake: the jobs go on; the same command follows them again", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _print_outcome(answer: dict[str, Any], done: Backfilled, *, as_json: bool) -> None:
    if not as_json:
        if done.plan.days:
            console(sys.stdout).print(outcome_shown(done))
        return
    days = [
        {**planned, "outcome": done.ended[day].outcome, "why": done.ended[day].why or None}
        for planned, day in zip(answer["days"], done.plan.days, strict=True)
    ]
    counts = {outcome.replace(" ", "_"): done.count(outcome) for outcome in Outcome}
    typer.echo(json.dumps({**answer, "days": days, "outcomes": counts}, indent=2))
