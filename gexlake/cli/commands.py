"""The commands of ``gexlake``: each reads its options, asks a service, and shows the answer."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import gexlake
from gexlake.api.jobs import JobsPage, JobView, Priority, Stage, Status
from gexlake.cli.answers import read_as, read_job
from gexlake.cli.backfill.command import INTERRUPTED, backfill
from gexlake.cli.backups import backup, restore
from gexlake.cli.chronox import scheduler, symbols
from gexlake.cli.chronox.command import chronox
from gexlake.cli.chronox.gaps import gaps
from gexlake.cli.errors import CommandFailed
from gexlake.cli.following.tail import tail
from gexlake.cli.following.waiting import WaitingNotices
from gexlake.cli.following.watch import follow, shown_on, summary
from gexlake.cli.intake_client import Intake
from gexlake.cli.job_ids import whole_id
from gexlake.cli.output.rows import Rows
from gexlake.cli.output.tables import console, job_card, jobs_table, rows_table, status_tables, write_csv
from gexlake.cli.priorities import rules, sources
from gexlake.cli.priorities.cancel import cancel
from gexlake.cli.priorities.queue import queue, sla
from gexlake.cli.priorities.requests import promise_of, raise_, request
from gexlake.cli.replay_day.command import replay_day
from gexlake.cli.settings import CliSettings
from gexlake.cli.source_urls import url_of
from gexlake.environment import load

app = typer.Typer(
    name="gexlake",
    help="Bring GEX history into the lake, follow it, and ask the lake.",
    epilog=(
        "Settings, in the environment or .env: GEXLAKE_PORT or GEXLAKE_URL (where intake is), "
        "GEXLAKE_API_KEY, GEXLAKE_CA_FILE. Exit status: 0 done, 1 failed or refused, 2 wrong usage, "
        "130 interrupted."
    ),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, or the start of it.")]


TRUNCATED = 3
"""Exit status of ``gexlake sql`` when rows are left out."""


class ExportFormat(StrEnum):
    """The form of an export."""

    ARROW = "arrow"
    CSV = "csv"


CONTENT_TYPES = {ExportFormat.ARROW: "application/vnd.apache.arrow.stream", ExportFormat.CSV: "text/csv"}


class Format(StrEnum):
    """How the rows of a query are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gexlake {gexlake.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


@app.command()
def submit(
    url: Annotated[str, typer.Argument(metavar="URL", help="The signed URL or the path of a history file.")],
    endpoint: Annotated[
        str | None, typer.Option(help="If the file's name does not contain it: gex_zero, …")
    ] = None,
    ticker: Annotated[str | None, typer.Option(help="If the file's name does not contain it.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="How urgent it is.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace even by worse data.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; needed with --force.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have a history file brought into the lake."""
    if force and not reason:
        raise typer.BadParameter("--force needs a --reason, which the ledger keeps")
    url = url_of(url)
    given = {"url": url, "endpoint": endpoint, "ticker": ticker, "priority": priority, "reason": reason}
    body = {name: value for name, value in given.items() if value is not None}
    with _intake() as intake:
        answer = intake.submit({**body, "force": True} if force else body)
        job_id = str(answer.get("id", ""))
        if warning := answer.get("warning"):
            typer.echo(f"gexlake: {warning}", err=True)
        if watch:
            _watch(intake, job_id, as_json)
        elif as_json:
            _print_json(answer)
        else:
            typer.echo("\n".join([f"{answer.get('status')}: job {job_id}", *promise_of(answer)]))


app.command(short_help="Import the trading days of a range.")(backfill)
app.command(short_help="Cancel a job that has not begun.")(cancel)
app.command(short_help="Post a stored day again, as if it were live.")(replay_day)
app.command(short_help="Follow live snapshots.")(tail)
app.command(short_help="Back up the running system.")(backup)
app.command(short_help="Restore a backup.")(restore)
app.command(short_help="Show a request, and what came of it.")(request)
app.command("raise", short_help="Give a request another priority.")(raise_)
app.command(short_help="List missing minute bars, and have them filled.")(gaps)
app.command(short_help="Show what waits, and what is next.")(queue)
app.command(short_help="Show which promises were kept.")(sla)
app.command(short_help="Run the registered symbols.")(chronox)
app.add_typer(rules.app, name="rules")
app.add_typer(sources.app, name="sources")
app.add_typer(symbols.app, name="symbols")
app.add_typer(scheduler.app, name="scheduler")


@app.command()
def jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs in this state.")] = None,
    ticker: Annotated[str | None, typer.Option(help="Only jobs of this ticker.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only jobs of this endpoint.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 20,
    wide: Annotated[bool, typer.Option("--wide", help="Whole ids and every column on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    with _intake() as intake:
        answer = intake.jobs({"status": status, "ticker": ticker, "endpoint": endpoint, "limit": limit})
    found = read_as(JobsPage, answer, "a list of jobs").jobs
    if as_json:
        _print_json(answer["jobs"])
    elif found:
        table = jobs_table(found, whole_ids=wide or not sys.stdout.isatty())
        console(sys.stdout, wide=wide).print(table)
    else:
        typer.echo("no jobs")


@app.command()
def job(
    job_id: JobId,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a job. With --watch, the exit status is 1 when it fails or is cancelled."""
    with _intake() as intake:
        job_id = whole_id(intake, job_id)
        if watch:
            _watch(intake, job_id, as_json)
            return
        answer = intake.job(job_id)
    if as_json:
        _print_json(answer)
    else:
        console(sys.stdout).print(job_card(read_job(answer)))


@app.command()
def replay(
    job_id: JobId,
    stage: Annotated[Stage | None, typer.Option(help="From where; by default the last one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have a job done again."""
    with _intake() as intake:
        job_id = whole_id(intake, job_id)
        answer = intake.replay(job_id, stage)
    if as_json:
        _print_json(answer)
    else:
        typer.echo(f"{answer.get('status', 'replayed')}: job {job_id}")


@app.command()
def sql(
    statement: Annotated[
        str, typer.Argument(metavar="QUERY", help="One SELECT, or - to read it from stdin.")
    ],
    form: Annotated[Format, typer.Option("--format", help="How to print the rows.")] = Format.TABLE,
    max_rows: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 1000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that it may take.")] = 10.0,
) -> None:
    """Query the lake. The exit status is 3 when rows are left out."""
    text = _statement(statement)
    with _intake() as intake:
        rows = Rows.of(intake.query(text, max_rows, timeout))
    _print_rows(rows, form)
    if rows.truncated:
        typer.echo(f"gexlake: {_left_out(len(rows.rows), max_rows)}", err=True)
        raise typer.Exit(TRUNCATED)


@app.command()
def export(
    statement: Annotated[
        str, typer.Argument(metavar="QUERY", help="One SELECT, or - to read it from stdin.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; by default stdout.")
    ] = None,
    form: Annotated[
        ExportFormat | None, typer.Option("--format", help="By default that of the file's ending, or arrow.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds that it may take.")] = None,
) -> None:
    """Write the whole result of a query as an Arrow stream or CSV."""
    text = _statement(statement)
    if form is None:
        form = ExportFormat.CSV if output and output.suffix == ".csv" else ExportFormat.ARROW
    content_type = CONTENT_TYPES[form]
    with _intake() as intake:
        if output is None:
            intake.export(text, content_type, timeout, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
        else:
            _export_to(intake, output, text, content_type, timeout)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show queues, jobs and services."""
    with _intake() as intake:
        answer = intake.status()
    if as_json:
        _print_json(answer)
    else:
        console(sys.stdout).print(*status_tables(answer), sep="\n")


def _statement(argument: str) -> str:
    text = sys.stdin.read() if argument == "-" else argument
    if not text.strip():
        raise typer.BadParameter("the query is empty")
    return text


def _export_to(intake: Intake, output: Path, text: str, content_type: str, timeout: float | None) -> None:
    """Write a result to a file; one that is not complete never gets its name."""
    hidden = output.with_name(f".{output.name}.part")
    try:
        with hidden.open("wb") as file:
            intake.export(text, content_type, timeout, file.write)
        hidden.replace(output)
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror}") from error
    finally:
        hidden.unlink(missing_ok=True)


def _intake() -> Intake:
    return Intake(load(CliSettings))


def _watch(intake: Intake, job_id: str, as_json: bool) -> None:
    # The bar goes to stderr when stdout is for the answer.
    try:
        target = console(sys.stderr if as_json else sys.stdout)
        notices = WaitingNotices(intake.status, lambda line: target.print(line, markup=False))
        with shown_on(target) as show:

            def show_all(job: JobView) -> None:
                show(job)
                notices(job)

            ended = follow(lambda: read_job(intake.job(job_id)), show_all)
    except KeyboardInterrupt:
        typer.echo(f"gexlake: the job goes on; 'gexlake job {job_id} --watch' follows it again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        _print_json(intake.job(job_id))
    else:
        typer.echo(summary(ended))
    if not ended.succeeded:
        raise typer.Exit(1)


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, indent=2))


def _left_out(shown: int, max_rows: int) -> str:
    """Say that there are more rows, and by which limit they were left out."""
    limit = (
        "--max-rows"
        if shown >= max_rows
        else "an answer ends at about 900 kB, and at GEXLAKE_SQL_MAX_ROWS of the importer"
    )
    return f"only the first {shown} rows are shown ({limit}): 'gexlake export' writes all of them"


def _print_rows(rows: Rows, form: Format) -> None:
    match form:
        case Format.TABLE:
            console(sys.stdout).print(rows_table(rows))
        case Format.JSON:
            typer.echo(json.dumps(rows.objects()))
        case Format.CSV:
            write_csv(rows, sys.stdout)
