"""``gexlake sources``: list the sources of files, deactivate one, activate it again."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from gexlake.api.sources import DataSource, SourcesList
from gexlake.cli.answers import read_as
from gexlake.cli.errors import UnknownSource
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

app = typer.Typer(
    help="Sources of files: how reliable they are, and which are requested.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Its address, host, name or id, or the start of its id.")
]
_SHORT_ID = 8


@app.command("list")
def list_sources(
    active_only: Annotated[bool, typer.Option("--active", help="Only those that are requested now.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the sources, by address."""
    with _intake() as intake:
        answer = intake.sources(active_only=active_only)
    if as_json:
        _print_json(answer["sources"])
        return
    table = FittedTable(
        [
            Column("id"),
            Column("source"),
            Column("name", drop=2),
            Column("active"),
            Column("reliability", right=True),
            Column("requests", right=True, drop=1),
            Column("response", right=True, drop=3),
        ]
    )
    for source in read_as(SourcesList, answer, "a list of sources").sources:
        table.add_row(
            str(source.source_id)[:_SHORT_ID],
            source.base_url,
            source.name,
            _state(source),
            "" if source.reliability_score is None else f"{source.reliability_score:.1%}",
            str(source.total_requests),
            ""
            if source.average_response_time is None
            else f"{source.average_response_time.total_seconds():.2f} s",
        )
    console(sys.stdout).print(table)


@app.command()
def deactivate(source: Source, as_json: AsJson = False) -> None:
    """Request nothing more from a source; its jobs wait until it is activated."""
    _switch(source, "deactivated", as_json, is_active=False)


@app.command()
def activate(source: Source, as_json: AsJson = False) -> None:
    """Request a source again at once; its circuit is closed, too."""
    _switch(source, "activated", as_json, is_active=True)


def _state(source: DataSource) -> str:
    if source.deactivated_at is not None:
        return f"no, by {source.deactivated_by}"
    return "yes" if source.is_active else "no, it fails"


def _switch(text: str, done: str, as_json: bool, *, is_active: bool) -> None:
    with _intake() as intake:
        known = read_as(SourcesList, intake.sources(), "a list of sources").sources
        answer = intake.change_source(_id_of(text, known), {"is_active": is_active})
    source = read_as(DataSource, answer, "a source")
    if as_json:
        _print_json(answer)
    else:
        typer.echo(f"{done}: source {source.base_url} ({source.source_id})")


def _id_of(text: str, sources: list[DataSource]) -> str:
    """Return the id of the one source that has an address, a host, a name, or an id with a start."""
    wanted = text.strip().casefold().rstrip("/")
    named = [
        source
        for source in sources
        if wanted in {source.base_url, source.base_url.partition("://")[2], source.name.casefold()}
    ]
    found = named or [
        source for source in sources if len(wanted) > 3 and str(source.source_id).startswith(wanted)
    ]
    if len(found) != 1:
        raise UnknownSource(text, len(found))
    return str(found[0].source_id)


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, indent=2))


def _intake() -> Intake:
    return Intake(load(CliSettings))
