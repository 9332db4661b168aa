"""``gexlake gaps``: list the missing minutes of symbols, and have them found and filled."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from gexlake.api.chronox.bars import MAX_GAPS, Gap, GapsResponse, GapStatus
from gexlake.api.chronox.runs import GapsDetected
from gexlake.cli.answers import read_as
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import console
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

_NEW_YORK: Final = ZoneInfo("America/New_York")
_COLUMNS: Final = (
    Column("symbol"),
    Column("start"),
    Column("end"),
    Column("minutes", right=True),
    Column("age", right=True),
    Column("status"),
    Column("attempts", right=True, drop=2),
    Column("reason", drop=1, wraps=True),
)


def gaps(
    symbol: Annotated[
        str | None, typer.Argument(metavar="[SYMBOL]", help="As the vendor writes it; all if left out.")
    ] = None,
    detect: Annotated[
        bool, typer.Option("--detect", help="Find gaps first, and have them filled; needs some seconds.")
    ] = False,
    no_fill: Annotated[bool, typer.Option("--no-fill", help="With --detect: queue nothing.")] = False,
    first: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="With --detect: from this day on, even before the first bar."),
    ] = None,
    status: Annotated[GapStatus | None, typer.Option(help="Only those with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_GAPS, help="How many at most.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """List gaps of minute bars, the oldest first; times are New York's."""
    if not detect and (no_fill or first):
        raise typer.BadParameter("--no-fill and --first belong to --detect")
    with Intake(load(CliSettings)) as intake:
        if detect:
            body: dict[str, Any] = {"symbols": [symbol] if symbol else [], "fill": not no_fill}
            found = intake.detect_gaps({**body, "first": first} if first else body)
            typer.echo(_summary(read_as(GapsDetected, found, "a detection of gaps")), err=True)
        answer = intake.gaps({"symbol": symbol, "status": status, "limit": limit})
    if as_json:
        typer.echo(json.dumps(answer["gaps"], indent=2))
        return
    listed = read_as(GapsResponse, answer, "a list of gaps")
    if not listed.gaps:
        typer.echo("no gaps")
        return
    table = FittedTable(_COLUMNS)
    for gap in listed.gaps:
        table.add_row(*_cells(gap, datetime.now(UTC)))
    console(sys.stdout).print(table)
    if listed.truncated:
        typer.echo(f"gexlake: {len(listed.gaps)} of {listed.total_count} gaps; --limit shows more", err=True)


def _cells(gap: Gap, now: datetime) -> tuple[str, ...]:
    return (
        gap.symbol,
        f"{gap.start.astimezone(_NEW_YORK):%Y-%m-%d %H:%M}",
        f"{gap.end.astimezone(_NEW_YORK):%H:%M}",
        str(gap.missing),
        _age(now - gap.start),
        gap.status,
        str(gap.attempts),
        gap.reason or "",
    )


def _age(age: timedelta) -> str:
    if age >= timedelta(days=1):
        return f"{age.days} d"
    hours, minutes = divmod(max(0, int(age.total_seconds()) // 60), 60)
    return f"{hours} h" if hours else f"{minutes} min"


def _summary(found: GapsDetected) -> str:
    left = f", {found.fills_left} left for later" if found.fills_left else ""
    return (
        f"{found.symbols} symbols, {found.sessions} sessions in {found.seconds:.1f} s: "
        f"{found.detected} new gaps, {found.resolved} ended, "
        f"{found.open} open ({found.missing_minutes} minutes); "
        f"{found.fills_queued} fills queued{left}"
    )
