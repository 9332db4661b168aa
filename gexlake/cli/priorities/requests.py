"""``gexlake request`` and ``gexlake raise``: show a request, and give it another priority."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gexlake.api.jobs import Priority, Queued
from gexlake.api.priorities.requests import RequestView
from gexlake.cli.answers import read_as
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
RequestId = Annotated[
    str, typer.Argument(metavar="ID", help="The request's id, as 'gexlake submit' shows it.")
]


def request(request_id: RequestId, as_json: AsJson = False) -> None:
    """Show a request: its priority and why, its deadline, and what came of it."""
    with _intake() as intake:
        answer = intake.request(request_id)
    _print(answer, as_json=as_json)


def raise_(
    request_id: RequestId,
    level: Annotated[Priority, typer.Argument(metavar="LEVEL", help="critical, high, medium or low.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    as_json: AsJson = False,
) -> None:
    """Give a request another priority, as long as its job is not finished."""
    with _intake() as intake:
        answer = intake.change_request(request_id, {"priority_level": level, "reason": reason})
    _print(answer, as_json=as_json)


def promise_of(answer: dict[str, Any]) -> list[str]:
    """Return lines about the priority of a file that is queued; none if intake is of an older version."""
    if answer.get("request_id") is None:
        return []
    queued = read_as(Queued, answer, "a queued file")
    parts = [f"{queued.priority} (score {queued.priority_score:g})", f"position {queued.queue_position}"]
    if (remaining := queued.estimated_processing_time) is not None:
        parts.append(f"expected in {remaining.total_seconds():,.1f} s")
    if queued.deadline is not None:
        parts.append(f"due {_moment(queued.deadline)} UTC")
    return [f"request {queued.request_id}", ", ".join(parts)]


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    card = Table.grid(padding=(0, 2))
    for name, value in _facts(read_as(RequestView, answer, "a request")):
        card.add_row(name, Text(value))
    console(sys.stdout).print(card)


def _facts(request: RequestView) -> Iterable[tuple[str, str]]:
    yield "request", str(request.request_id)
    yield "job", str(request.job_id)
    yield "status", request.status
    yield "symbol", f"{request.market_symbol}, {request.data_type}"
    yield "priority", f"{request.priority_level} (score {request.priority_score:g})"
    yield "decided by", ", ".join(request.decided_by) or "no rule"
    for override in request.overrides:
        why = f": {override.reason}" if override.reason else ""
        yield "override", f"{override.priority_level} by {override.by or 'a client'}{why}"
    moments = {
        "submitted": request.submitted_at,
        "started": request.started_at,
        "expected": request.estimated_completion,
        "completed": request.completed_at,
        "due": request.deadline,
    }
    for name, at in moments.items():
        if at is not None:
            yield name, _moment(at)
    if request.deadline_kept is not None:
        yield "deadline", "kept" if request.deadline_kept else "missed"
    if request.records_processed is not None:
        yield "records", f"{request.records_processed:,}"
    if request.error_message:
        yield "error", request.error_message


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _intake() -> Intake:
    return Intake(load(CliSettings))
