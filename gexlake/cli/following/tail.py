"""``gexlake tail``: follow live snapshots on the terminal, across restarts of intake."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from httpx_sse import ServerSentEvent

from gexlake.api.live import LiveSnapshotView
from gexlake.cli.answers import read_as
from gexlake.cli.backfill.command import INTERRUPTED
from gexlake.cli.errors import IntakeUnreachable, RequestRefused, UnexpectedAnswer
from gexlake.cli.intake_client import Intake
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

RETRY_S: Final = 1.0
_BUSY: Final = frozenset({429, 503})
_GAP: Final = "gap"
_NEW_YORK: Final = "America/New_York"
_PRICES: Final = (("spot", "spot_price"), ("zero", "zero_gamma"))
_MAJORS: Final = (
    ("+vol", "major_pos_vol"),
    ("-vol", "major_neg_vol"),
    ("+oi", "major_pos_oi"),
    ("-oi", "major_neg_oi"),
)
_SUMS: Final = (("sum vol", "sum_gex_vol"), ("sum oi", "sum_gex_oi"))


def tail(
    tickers: Annotated[str, typer.Argument(metavar="[TICKER,…]", help="SPX, or several; else all.")] = "",
    endpoint: Annotated[str, typer.Option(help="gex_zero, or several separated by commas.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
    since_id: Annotated[
        int | None, typer.Option(min=0, help="Begin after this event; 0 for all of the last 48 hours.")
    ] = None,
) -> None:
    """Follow live snapshots: a line each, with the time in New York, until Ctrl-C.

    A line has the spot price, zero gamma, the majors by volume and by open interest, and the sums of GEX,
    as far as they were sent.
    """
    query = {name: text for name, text in (("ticker", tickers), ("endpoint", endpoint)) if text}
    start = "" if since_id is None else str(since_id)
    show = _show_json if as_json else _show_line
    with Intake(load(CliSettings)) as intake:
        try:
            for event in live_events(lambda last_id: intake.live(query, last_id), start, _report):
                show(event)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def live_events(
    connect: Callable[[str], Iterator[ServerSentEvent]],
    last_id: str,
    report: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[ServerSentEvent]:
    """Yield events without end; when the connection is lost, connect again after the last one.

    Args:
        connect: yields the events after an id, the first without data.
        last_id: where to begin; empty for new events only.
        report: prints a line about the connection.
        pause: waits before connecting again.

    Raises:
        CommandFailed: the first connection failed, or intake refuses a later one for good.
    """
    had_connection = is_lost = False
    while True:
        why = "intake ended it"
        try:
            for event in connect(last_id):
                if is_lost:
                    report("connected again")
                had_connection, is_lost = True, False
                last_id = event.id or last_id
                if event.event == _GAP:
                    report(_gap_message(event))
                elif event.data:
                    yield event
        except (IntakeUnreachable, RequestRefused) as error:
            is_for_good = isinstance(error, RequestRefused) and error.status not in _BUSY
            if not had_connection or is_for_good:
                raise
            why = error.why if isinstance(error, IntakeUnreachable) else str(error)
        if not is_lost:
            report(f"the stream broke off ({why}); connecting again after event {last_id}")
        is_lost = True
        pause(RETRY_S)


def line_of(snapshot: LiveSnapshotView) -> str:
    """Return an event as one line for people."""
    at = datetime.fromtimestamp(snapshot.timestamp / 1000, UTC).astimezone(ZoneInfo(_NEW_YORK))
    names = [f"{at:%H:%M:%S}", f"{snapshot.ticker:<7}", f"{snapshot.endpoint:<8}"]
    part = [] if snapshot.event == "snapshot" else [snapshot.event]
    values = [
        f"{label} {getattr(snapshot, column):{form}}"
        for labels, form in ((_PRICES, ".2f"), (_MAJORS, "g"), (_SUMS, ".1f"))
        for label, column in labels
        if getattr(snapshot, column) is not None
    ]
    return "  ".join((*names, *part, *values))


def _show_line(event: ServerSentEvent) -> None:
    try:
        answer = json.loads(event.data)
    except ValueError as error:
        raise UnexpectedAnswer("intake", "an event is no JSON") from error
    typer.echo(line_of(read_as(LiveSnapshotView, answer, "an event")))


def _show_json(event: ServerSentEvent) -> None:
    typer.echo(event.data)


def _report(line: str) -> None:
    typer.echo(f"gexlake: {line}", err=True)


def _gap_message(event: ServerSentEvent) -> str:
    try:
        return str(json.loads(event.data)["message"])
    except (ValueError, KeyError, TypeError):
        return "events are missing"
