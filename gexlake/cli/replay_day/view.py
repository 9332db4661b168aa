"""How a replay is shown: a bar or a line now and then, and the summary at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gexlake.cli.replay_day.faults import FaultCounts, FaultPlan
from gexlake.cli.replay_day.replay import Replay
from gexlake.cli.replay_day.stored_day import DayPart, Overview

LINE_EVERY_S: Final = 10.0
"""How often a line is printed where there is no terminal."""
_NO_READER: Final = "no reader got it: 'curl -N URL/gex/stream?replay=true' follows replays"
_BEHIND_S: Final = 1.0
"""A replay that is less behind is in time."""


def plan_line(part: DayPart, overview: Overview, speed: float | None) -> str:
    """Say what is replayed and how long it takes."""
    times = f"{overview.clock(overview.first_ms)} to {overview.clock(overview.last_ms)} New York"
    takes = (
        "as fast as it goes" if speed is None else f"{_duration(overview.seconds / speed)} at speed {speed:g}"
    )
    return f"{part}: {overview.snapshots:,} snapshots, {times}, {takes}"


def planned_faults(overview: Overview, plan: FaultPlan[int]) -> str:
    """Say how many of each fault a replay has."""
    for number in range(overview.snapshots):
        plan.take(number)
    plan.rest()
    return _faults(plan.counts)


def summary_lines(replay: Replay, snapshots: int) -> Iterator[str]:
    """Say what became of a replay."""
    counts, took_s = replay.poster.counts, replay.pace.took_s
    rate = f", {counts.posted / took_s:,.0f} a second" if took_s else ""
    yield (
        f"posted {counts.posted:,} records of {replay.read:,} of {snapshots:,} snapshots "
        f"in {_duration(took_s)}{rate}"
    )
    yield _faults(replay.plan.counts)
    if replay.poster.stream_only:
        yield f"readers of /gex/stream?replay=true: {counts.readers:,}" if counts.readers else _NO_READER
    if replay.pace.most_behind_s >= _BEHIND_S:
        yield (
            f"behind its pace by up to {_duration(replay.pace.most_behind_s)}, "
            f"in the end by {_duration(replay.pace.behind_s)}"
        )
    if counts.retries:
        yield f"sent again {counts.retries:,} times: not reachable, busy, or over the rate limit"
    if counts.refused:
        yield f"refused {counts.refused:,} records, the first one because {counts.refusal}"


def summary_object(replay: Replay, snapshots: int) -> dict[str, Any]:
    """Return what became of a replay, for programs."""
    counts, faults, pace = replay.poster.counts, replay.plan.counts, replay.pace
    return {
        "snapshots": snapshots,
        "read": replay.read,
        "posted": counts.posted,
        "refused": counts.refused,
        "refusal": counts.refusal or None,
        "retries": counts.retries,
        **({"readers": counts.readers} if replay.poster.stream_only else {}),
        "gaps": faults.gaps,
        "duplicates": faults.duplicates,
        "reordered": faults.reordered,
        "seconds": round(pace.took_s, 3),
        "most_behind_s": round(pace.most_behind_s, 3),
        "behind_s": round(pace.behind_s, 3),
    }


@contextmanager
def shown_on(
    console: Console, replay: Replay, overview: Overview, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[], None]]:
    """Yield what shows the progress of a replay, in the form that suits the console."""
    if not console.is_terminal:
        yield _Lines(console, replay, overview, clock)
        return
    columns = (
        TextColumn("{task.fields[at]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=overview.snapshots, at=overview.clock(overview.first_ms))

        def show() -> None:
            at = overview.clock(replay.at_ms)
            progress.update(task, completed=replay.read, description=_behind(replay), at=at)

        yield show


class _Lines:
    """A line every few seconds."""

    def __init__(
        self, console: Console, replay: Replay, overview: Overview, clock: Callable[[], float]
    ) -> None:
        self._console = console
        self._replay = replay
        self._overview = overview
        self._clock = clock
        self._printed_at = clock()

    def __call__(self) -> None:
        if self._clock() - self._printed_at < LINE_EVERY_S:
            return
        self._printed_at = self._clock()
        replay = self._replay
        at = self._overview.clock(replay.at_ms)
        behind = f", {_behind(replay)}" if _behind(replay) else ""
        self._console.print(f"{at} {replay.read:,} of {self._overview.snapshots:,} snapshots{behind}")


def _behind(replay: Replay) -> str:
    behind_s = replay.pace.behind_s
    return f"{_duration(behind_s)} behind" if behind_s >= _BEHIND_S else ""


def _faults(counts: FaultCounts) -> str:
    return f"{counts.gaps:,} gaps, {counts.duplicates:,} duplicates, {counts.reordered:,} reordered"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
