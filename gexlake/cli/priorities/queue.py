"""``gexlake queue`` and ``gexlake sla``: what waits, and whether promises were kept."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Annotated, Any, Final

import typer

from gexlake.api.priorities.queue import Queue, Sla, SlaLevel
from gexlake.cli.answers import read_as
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_SHORT_ID: Final = 8
_NEXT: Final = 10


def queue(as_json: AsJson = False) -> None:
    """Show what waits of each level, and the next ten jobs."""
    with _intake() as intake:
        answer = intake.queue()
    if as_json:
        _print_json(answer)
        return
    found = read_as(Queue, answer, "a queue")
    out = console(sys.stdout)
    out.print(_levels_table(found))
    if any(level.next for level in found.levels):
        out.print()
        out.print(_next_table(found))


def sla(
    window: Annotated[str, typer.Option(help="Requests submitted in the last 1m to 30d.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Show which promises were kept."""
    with _intake() as intake:
        answer = intake.sla(window)
    if as_json:
        _print_json(answer)
        return
    table = FittedTable(
        [
            Column("level"),
            Column("promise", right=True),
            Column("requests", right=True),
            Column("kept", right=True),
            Column("missed", right=True),
            Column("foretold", right=True, drop=2),
            Column("open", right=True),
            Column("cancelled", right=True, drop=1),
            Column("p50", right=True),
            Column("p95", right=True),
            Column("max", right=True),
        ]
    )
    for level in read_as(Sla, answer, "figures of promises").levels:
        table.add_row(*_sla_row(level))
    console(sys.stdout).print(table)


def _levels_table(found: Queue) -> FittedTable:
    table = FittedTable(
        [
            Column("level"),
            Column("waiting", right=True),
            Column("running", right=True),
            Column("oldest (UTC)"),
        ]
    )
    for level in found.levels:
        table.add_row(level.level, f"{level.waiting:,}", f"{level.running:,}", _moment(level.oldest))
    return table


def _next_table(found: Queue) -> FittedTable:
    table = FittedTable(
        [
            Column("next"),
            Column("level"),
            Column("symbol"),
            Column("endpoint", drop=1),
            Column("day"),
            Column("stage", drop=2),
            Column("score", right=True),
            Column("due (UTC)"),
        ]
    )
    jobs = chain.from_iterable(((level.level, job) for job in level.next) for level in found.levels)
    for name, job in islice(jobs, _NEXT):
        table.add_row(
            str(job.job_id)[:_SHORT_ID],
            name,
            job.market_symbol,
            job.endpoint,
            job.trading_day.isoformat() if job.trading_day else "",
            job.stage,
            "" if job.priority_score is None else f"{job.priority_score:g}",
            _moment(job.deadline),
        )
    return table


def _sla_row(level: SlaLevel) -> list[str]:
    counts = (level.count, level.kept, level.missed, level.missed_foretold, level.open, level.cancelled)
    seconds = (level.p50_seconds, level.p95_seconds, level.max_seconds)
    return [
        level.level,
        "" if level.promise_seconds is None else f"{level.promise_seconds:g} s",
        *("" if count is None else f"{count:,}" for count in counts),
        *("" if each is None else f"{each:,.1f} s" for each in seconds),
    ]


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%m-%d %H:%M:%S}"


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, indent=2))


def _intake() -> Intake:
    return Intake(load(CliSettings))
