"""One day into an empty lake: gexlake, with two memory profiles, against the first system's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from bench.inputs import Input
from bench.measure.figures import Run, Runs, Target
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.workbench import AUTO, BOUNDED, Sizes, Workbench, sizes_of_lake, sizes_of_seed

SEED: Final = "seed SQL"
OURS: Final = "gexlake, default settings"
OURS_BOUNDED: Final = "gexlake, bounded memory"

_RATIO: Final = {OURS: Target(0.15), OURS_BOUNDED: Target(0.30)}
_PEAK_MIB: Final = {OURS: Target(300), OURS_BOUNDED: Target(280)}


def measured(bench: Workbench) -> list[Table]:
    """Import the 1x day in all ways, in turns, each into a lake of its own.

    Raises:
        BenchFailed: an import failed.
    """
    source = bench.input()
    sizes: dict[str, Sizes] = {}
    ways = {
        SEED: partial(_seed, bench, source, sizes),
        OURS: partial(_ours, bench, source, sizes, OURS, AUTO),
        OURS_BOUNDED: partial(_ours, bench, source, sizes, OURS_BOUNDED, BOUNDED),
    }
    return [table(source, interleaved(ways, bench.runs, bench.say), sizes)]


def table(source: Input, runs: Mapping[str, Runs], sizes: Mapping[str, Sizes]) -> Table:
    """Return the table of what was measured."""
    summary = source.summary
    return Table(
        title="One day into an empty lake",
        note=(
            f"{summary.snapshots:,} snapshots, {summary.strike_rows:,} strike rows, "
            f"{summary.bytes / 1e6:.1f} MB."
        ),
        columns=[
            "how",
            "s (median)",
            "s (range)",
            "of seed SQL",
            "target",
            "peak MiB",
            "target",
            "CPU s",
            "Parquet MB",
            "database MB",
        ],
        rows=[_row(name, each, runs[SEED], sizes[name]) for name, each in runs.items()],
    )


def _row(name: str, runs: Runs, seed: Runs, sizes: Sizes) -> list[str]:
    ratio, shortest_longest = runs.ratio_to(seed), "{:.2f} to {:.2f}".format(*runs.spread_s)
    return [
        name,
        f"{runs.median_s:.2f}",
        shortest_longest,
        f"{ratio:.3f}",
        _RATIO[name].judge(ratio) if name in _RATIO else "",
        f"{runs.peak_mib:.0f}",
        _PEAK_MIB[name].judge(runs.peak_mib) if name in _PEAK_MIB else "",
        f"{runs.median_cpu_s:.2f}",
        *sizes.cells(),
    ]


def _seed(bench: Workbench, source: Input, sizes: dict[str, Sizes]) -> Run:
    with bench.folder() as folder:
        run = bench.import_by_seed(folder, source)
        sizes[SEED] = sizes_of_seed(folder)
    return run


def _ours(bench: Workbench, source: Input, sizes: dict[str, Sizes], name: str, profile: str) -> Run:
    with bench.folder() as folder:
        run = bench.import_into(folder, source, profile)
        sizes[name] = sizes_of_lake(folder, source.day)
    return run
