"""How a backfill is shown: its plan, a bar over its days or a line for each, and the table at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from gexlake.api.backfill import BackfillView, DayView, Standing
from gexlake.cli.backfill.days import Backfilled, Ended, Outcome, Trouble, pair_of
from gexlake.cli.output.fitted_table import Column, FittedTable
from gexlake.cli.output.tables import new_table

Show = Callable[[Backfilled], None]

STANDSTILL_S: Final = 10.0
"""After so long without a finished day, the reason is shown if the jobs have one."""

_COLOURS: Final = {Outcome.IMPORTED: "green", Outcome.FAILED: "red", Outcome.NO_DATA: "yellow"}
_DAYS_NAMED: Final = 4
"""Up to this many days with the same outcome are listed one by one; of more, the first and the last."""


def plan_shown(plan: BackfillView, *, every_day: bool = False) -> Group:
    """Show how the days stand, counted by ticker and endpoint, with closed and short trading days.

    Args:
        plan: the plan.
        every_day: show each day by itself before that.
    """
    parts: list[RenderableType] = [_days_table(plan), ""] if every_day else []
    parts.append(_counts_table(plan) if plan.days else "no trading days")
    if not every_day:
        parts += [Text(f"closed: {named.day} {named.why}") for named in plan.closed]
        parts += [Text(f"closes early: {named.day} {named.why}") for named in plan.early_closes]
    parts += [Text(f"note: {warning}") for warning in plan.warnings]
    return Group(*parts)


def _counts_table(plan: BackfillView) -> FittedTable:
    counts = Counter((pair_of(day), day.standing) for day in plan.days)
    present = {day.standing for day in plan.days}
    standings = [standing for standing in Standing if standing in present]
    numbers = ["days", *map(_words, standings)]
    table = new_table("ticker", "endpoint", *numbers, numbers=numbers)
    for pair in dict.fromkeys(pair_of(day) for day in plan.days):
        found = [counts[pair, standing] for standing in standings]
        table.add_row(*pair, str(sum(found)), *map(str, found))
    return table


def _days_table(plan: BackfillView) -> FittedTable:
    """Show every day, and those between them on which there is no trading."""
    early = {named.day: named.why for named in plan.early_closes}
    rows = [
        (day.trading_day, *pair_of(day), _words(day.standing), early.get(day.trading_day, ""))
        for day in plan.days
    ]
    rows += [(named.day, "", "", "closed", named.why) for named in plan.closed]
    table = new_table("day", "ticker", "endpoint", "plan", "")
    for day, *words in sorted(rows, key=lambda row: row[0]):
        table.add_row(day.isoformat(), *words)
    return table


def outcome_shown(done: Backfilled) -> Group:
    """Show what became of all days, and why some have not been imported."""
    shown = [one for one in Outcome if one is not Outcome.CANCELLED or done.count(one)]
    table = new_table("ticker", "endpoint", *shown, numbers=shown)
    for pair in dict.fromkeys(pair_of(day) for day in done.plan.days):
        table.add_row(*pair, *(str(done.count(outcome, pair)) for outcome in shown))
    reasons = list(_reasons(done))
    why = FittedTable([*map(Column, ("ticker", "endpoint", "", "days")), Column("why", wraps=True)])
    for row in reasons:
        why.add_row(*row)
    return Group("", table, "", why) if reasons else Group("", table)


@contextmanager
def shown_on(
    console: Console, plan: BackfillView, clock: Callable[[], float] = time.monotonic
) -> Iterator[Show]:
    """Yield what shows a backfill on a console, in the form that suits it."""
    standstill = _Standstill(clock)
    if not console.is_terminal:
        yield _Lines(console, standstill)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("days  {task.description}"), TimeElapsedColumn())
    with _ProgressAndTrouble(*columns, console=console) as progress:
        yield _Bar(progress, len(plan.days), standstill)


class _Standstill:
    """Reports why unfinished days wait, once no day has finished for a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ended = 0
        self._since = clock()

    def trouble(self, done: Backfilled) -> Trouble | None:
        """Return what most of them wait for."""
        if len(done.ended) != self._ended:
            self._ended, self._since = len(done.ended), self._clock()
        return done.usual_trouble if self._clock() - self._since >= STANDSTILL_S else None


class _ProgressAndTrouble(Progress):
    """A progress display with a line beneath it."""

    trouble: Trouble | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield what is shown."""
        yield from super().get_renderables()
        if self.trouble is not None:
            yield _trouble_shown(self.trouble)


def _trouble_shown(trouble: Trouble) -> Text:
    days = "1 day waits" if trouble.days == 1 else f"{trouble.days} days wait"
    return Text(f"{days}: {trouble.why}", style=_COLOURS[Outcome.NO_DATA])


class _Bar:
    """A bar over the days, and beneath it what holds them up."""

    def __init__(self, progress: _ProgressAndTrouble, total: int, standstill: _Standstill) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)
        self._standstill = standstill

    def __call__(self, done: Backfilled) -> None:
        self._progress.trouble = self._standstill.trouble(done)
        counted = ((outcome, done.count(outcome)) for outcome in Outcome)
        words = ", ".join(f"{count} {outcome}" for outcome, count in counted if count)
        self._progress.update(self._task, completed=len(done.ended), description=words)


class _Lines:
    """A line for every day that a job has brought to its end, and one for each thing that holds them up."""

    def __init__(self, console: Console, standstill: _Standstill) -> None:
        self._console = console
        self._standstill = standstill
        self._shown: set[DayView] = set()
        self._last_printed = ""

    def __call__(self, done: Backfilled) -> None:
        for day, ended in done.ended.items():
            if day.id is not None and day not in self._shown:
                self._shown.add(day)
                why = f": {ended.why}" if ended.why else ""
                words = f"{day.trading_day} {day.ticker} {day.endpoint} {ended.outcome}{why}"
                self._console.print(Text(words, style=_COLOURS.get(ended.outcome, "")))
        trouble = self._standstill.trouble(done)
        if trouble is not None and trouble.why != self._last_printed:
            self._last_printed = trouble.why
            self._console.print(_trouble_shown(trouble))


def _reasons(done: Backfilled) -> Iterable[tuple[str, ...]]:
    """Yield the failed days and those without data, grouped by ticker, endpoint and reason."""
    together: dict[tuple[tuple[str, str], Ended], list[date]] = {}
    for day, ended in done.ended.items():
        if ended.outcome in {Outcome.NO_DATA, Outcome.FAILED}:
            together.setdefault((pair_of(day), ended), []).append(day.trading_day)
    in_order = sorted((pair, sorted(days), ended) for (pair, ended), days in together.items())
    for pair, days, ended in in_order:
        yield (*pair, ended.outcome, _days(days), ended.why)


def _days(days: list[date]) -> str:
    if len(days) > _DAYS_NAMED:
        return f"{days[0]} … {days[-1]} ({len(days)} days)"
    return ", ".join(map(str, days))


def _words(standing: Standing) -> str:
    return standing.replace("_", " ")
