"""``gexlake scheduler``: what the janitor runs when; stop it, start it, run a job now."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gexlake.api.chronox.scheduler import ScheduledJob, SchedulerStatus
from gexlake.cli.answers import read_as
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

app = typer.Typer(help="The janitor's schedule.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@app.command()
def status(as_json: AsJson = False) -> None:
    """List the scheduled jobs, with their last and next rounds."""
    with _intake() as intake:
        _show(intake.schedule(), as_json)


@app.command()
def start(as_json: AsJson = False) -> None:
    """Start jobs by their schedule again."""
    with _intake() as intake:
        _show(intake.change_schedule("start"), as_json)


@app.command()
def stop(as_json: AsJson = False) -> None:
    """Start no job by its schedule, until start or a restart of the janitor."""
    with _intake() as intake:
        _show(intake.change_schedule("stop"), as_json)


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="As the status shows it, such as gap_detection.")],
    as_json: AsJson = False,
) -> None:
    """Run a scheduled job now."""
    with _intake() as intake:
        answer = intake.run_scheduled(job)
    if as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        typer.echo(f"started: {job}")


def _show(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    found = read_as(SchedulerStatus, answer, "a schedule")
    table = FittedTable(
        [
            Column("job"),
            Column("runs"),
            Column("last round"),
            Column("next round"),
            Column("outcome", wraps=True),
        ]
    )
    for job in found.jobs:
        table.add_row(job.id, job.trigger, _time(job.last_run), _time(job.next_run), _outcome(job))
    console(sys.stdout).print(table)
    if not found.running:
        typer.echo("The scheduler is stopped: gexlake scheduler start", err=True)


def _outcome(job: ScheduledJob) -> str:
    if job.running:
        return "running"
    counts = ", ".join(f"{name} {count}" for name, count in job.last_counts.items() if count)
    return job.last_error or counts or str(job.last_outcome or "")


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


def _intake() -> Intake:
    return Intake(load(CliSettings))
