"""How an import's time grows with the lake: into an empty one, a full one, and over a day in its middle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from bench.inputs import Input, weekdays_after, weekdays_before
from bench.measure.figures import MB, Run, Runs, Target, compared
from bench.measure.processes import measure
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.workbench import Workbench, sizes_of_lake

EMPTY: Final = "into an empty lake"
FULL: Final = "a new day into the full lake"
REPLACING: Final = "replacing a day in the full lake's middle"

_RATIO: Final = {FULL: Target(1.15), REPLACING: Target(1.25)}


def measured(bench: Workbench) -> list[Table]:
    """Import one day after the other into empty lakes and into one full lake, and replace days there.

    Raises:
        BenchFailed: an import failed.
    """
    source = bench.input()
    before = weekdays_before(source.day.day, bench.partitions - 1)
    with bench.folder() as lake:
        bench.say(f"filling a lake with {bench.partitions} partitions")
        bench.import_into(lake, source)
        measure("bench.workloads.lake_fixture", [str(lake), *(day.isoformat() for day in before)], lake)
        database_bytes = sizes_of_lake(lake, source.day).database_bytes
        new = weekdays_after(source.day.day, 2 * bench.runs)
        ways = {
            EMPTY: partial(_into_empty, bench, source, iter(new[::2])),
            FULL: partial(_into, lake, bench, source, iter(new[1::2])),
            REPLACING: partial(_into, lake, bench, source, iter(_middle(before, bench.runs))),
        }
        runs = interleaved(ways, bench.runs, bench.say)
    return [table(source.summary.strike_rows * bench.partitions, bench.partitions, database_bytes, runs)]


def table(strike_rows: int, partitions: int, database_bytes: int, runs: Mapping[str, Runs]) -> Table:
    """Return the table of what was measured."""
    return Table(
        title="Growth with the lake",
        note=(
            f"The full lake begins with {partitions} partitions, {strike_rows / 1e6:.1f} million strike rows "
            f"and {database_bytes / MB / 1000:.1f} GB of database."
        ),
        columns=["one day", "s (median)", "s (range)", "of an empty lake", "target", "peak MiB", "CPU s"],
        rows=[compared(name, each, runs[EMPTY], _RATIO.get(name)) for name, each in runs.items()],
    )


def _middle(days: list[date], count: int) -> list[date]:
    """Return ``count`` days from the middle; some of them again if there are fewer."""
    first = max((len(days) - count) // 2, 0)
    return [days[(first + number) % len(days)] for number in range(count)]


def _into(lake: Path, bench: Workbench, source: Input, days: Iterator[date]) -> Run:
    with bench.on_day(source, next(days)) as moved:
        return bench.import_into(lake, moved)


def _into_empty(bench: Workbench, source: Input, days: Iterator[date]) -> Run:
    with bench.folder() as lake:
        return _into(lake, bench, source, days)
