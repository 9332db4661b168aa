"""``gexlake replay-day``: post a stored day again, as if it were live."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from dataclasses import replace
from datetime import date, time
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from gexlake.cli.backfill.command import INTERRUPTED
from gexlake.cli.errors import CommandFailed, HistoryWins, RequestRefused, StoresReplays, UnexpectedAnswer
from gexlake.cli.http_client import async_client
from gexlake.cli.intake_client import Intake
from gexlake.cli.output.tables import console
from gexlake.cli.replay_day.faults import FaultPlan, Faults
from gexlake.cli.replay_day.pace import Pace
from gexlake.cli.replay_day.posting import Poster
from gexlake.cli.replay_day.replay import Replay
from gexlake.cli.replay_day.stored_day import DayPart, Overview, read_snapshots
from gexlake.cli.replay_day.view import plan_line, planned_faults, shown_on, summary_lines, summary_object
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

MAX_SPEED: Final = "max"
_QUERY_TIMEOUT_S: Final = 30.0
_CANNOT_SAY: Final = frozenset({404, 405, 503})
"""The route is not there, or its importer."""


class LiveEndpoint(StrEnum):
    """The endpoints that are posted live."""

    GEX_ZERO = "gex_zero"
    GEX_ONE = "gex_one"
    GEX_FULL = "gex_full"


def replay_day(
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="NQ_NDX.")],
    endpoint: Annotated[LiveEndpoint, typer.Argument(metavar="ENDPOINT", help="gex_zero.")],
    day: Annotated[str, typer.Argument(metavar="DAY", help="The trading day: 2025-11-14.")],
    speed: Annotated[
        str, typer.Option(help="How many times as fast as the day was, or max: as fast as it goes.")
    ] = "60",
    to: Annotated[str | None, typer.Option(metavar="URL", help="The gexlake to post to.")] = None,
    from_url: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="The gexlake that has the day.")
    ] = None,
    stream_only: Annotated[
        bool,
        typer.Option("--stream-only", help="Only to readers of the stream that ask for it; store nothing."),
    ] = False,
    start: Annotated[str | None, typer.Option(metavar="HH:MM", help="From when on, in New York.")] = None,
    end: Annotated[str | None, typer.Option(metavar="HH:MM", help="Until when, in New York.")] = None,
    gaps: Annotated[float, typer.Option(min=0, max=1, metavar="P", help="Share of records left out.")] = 0.0,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Share of records posted twice.")
    ] = 0.0,
    disorder: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Share of records posted up to five too late.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same faults.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be posted; post nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Post a stored day to the /gex of a gexlake, snapshot by snapshot, at its own pace.

    GEXLAKE_TO_API_KEY is the key of another gexlake. The exit status is 1 when a record is refused.
    """
    part = DayPart(
        ticker.strip().upper(), endpoint, _day(day), _time("start", start) or time.min, _time("end", end)
    )
    pace = _speed(speed)
    faults = Faults(gaps, duplicates, disorder, seed)
    settings = load(CliSettings)
    target = settings.of_target(to)
    screen = console(sys.stderr if as_json else sys.stdout)
    with Intake(settings.of_source(from_url)) as source:
        overview = Overview.of(part, source.query(part.overview_query(), 1, _QUERY_TIMEOUT_S))
        screen.print(plan_line(part, overview, pace))
        _check_target(target, part, stream_only=stream_only)
        if dry_run:
            screen.print(planned_faults(overview, FaultPlan(faults)))
            return
        replay = Replay(part, FaultPlan(faults), Pace(pace), Poster(async_client(target), stream_only))
        try:
            _run(replay, source, overview, screen)
        except KeyboardInterrupt:
            _print_summary(replay, overview, as_json=as_json)
            raise typer.Exit(INTERRUPTED) from None
        except CommandFailed:
            _print_summary(replay, overview, as_json=as_json)
            raise
    _print_summary(replay, overview, as_json=as_json)
    if replay.poster.counts.refused:
        raise typer.Exit(1)


def _run(replay: Replay, source: Intake, overview: Overview, screen: Console) -> None:
    def first_page() -> dict[str, Any]:
        return source.snapshots(overview.parameters(replay.part))

    async def run() -> None:
        async with replay.poster.client:
            with shown_on(screen, replay, overview) as show:
                await replay.run(read_snapshots(first_page, source.snapshots_at), show)

    asyncio.run(run())


def _check_target(target: CliSettings, part: DayPart, *, stream_only: bool) -> None:
    """Check that a replay has its effect there, and no other.

    Raises:
        HistoryWins: the day is there from history, as far as the other side can say.
        StoresReplays: it would store what is meant for stream readers alone.
    """
    with Intake(target, key_setting="GEXLAKE_TO_API_KEY or GEXLAKE_API_KEY") as intake:
        if not stream_only:
            _check_history(intake, target.intake_url, part)
        elif not intake.has_stream_only():
            raise StoresReplays(target.intake_url)


def _check_history(intake: Intake, url: str, part: DayPart) -> None:
    asked = {
        "ticker": part.ticker,
        "endpoint": part.endpoint,
        "start": part.day,
        "end": part.day,
        "source": "history",
        "limit": 1,
    }
    try:
        page = intake.snapshots(asked)
    except UnexpectedAnswer:  # something else than gexlake may take snapshots, too
        return
    except RequestRefused as error:
        if error.status not in _CANNOT_SAY:
            raise
        return
    if page["snapshots"]:
        raise HistoryWins(url, str(replace(part, start=time.min, end=None)))


def _print_summary(replay: Replay, overview: Overview, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary_object(replay, overview.snapshots), indent=2))
    else:
        typer.echo("\n".join(summary_lines(replay, overview.snapshots)))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:40]!r} is not a day: write it like 2025-11-14") from error


def _time(option: str, text: str | None) -> time | None:
    try:
        found = None if text is None else time.fromisoformat(text)
    except ValueError:
        found = None
    if text is not None and (found is None or found.tzinfo is not None):
        raise typer.BadParameter(f"--{option}: {text[:40]!r} is not a time of day: write it like 10:30")
    return found


def _speed(text: str) -> float | None:
    """Return how many times as fast; None for as fast as it goes."""
    if text == MAX_SPEED:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise typer.BadParameter(f"--speed: {text[:40]!r} is neither a number above 0 nor max")
    return speed
