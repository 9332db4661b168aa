"""How time and memory grow with the file: days of 1, 2 and 4 times the bytes, with two memory profiles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from bench.inputs import Input
from bench.measure.figures import MB, Run, Runs, Target, grown
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.workbench import AUTO, BOUNDED, Workbench

TIMES: Final = (1, 2, 4)
PROFILES: Final = {AUTO: "default settings", BOUNDED: "bounded memory"}

_MORE_SECONDS_PER_MB: Final = Target(10)
_MORE_MEMORY: Final = Target(15)


def measured(bench: Workbench) -> list[Table]:
    """Import each day both ways, in turns, each into a lake of its own.

    Raises:
        BenchFailed: an import failed.
    """
    sources = {times: bench.input(times) for times in TIMES}
    ways = {
        _name(profile, times): partial(_into_empty, bench, source, profile)
        for profile in PROFILES
        for times, source in sources.items()
    }
    return [table(sources, interleaved(ways, bench.runs, bench.say))]


def table(sources: Mapping[int, Input], runs: Mapping[str, Runs]) -> Table:
    """Return the table of what was measured; ``runs`` by the names of its rows."""
    return Table(
        title="Growth with the file",
        note="Growth is from the day itself, with the same memory profile.",
        columns=[
            "memory and file",
            "MB",
            "s (median)",
            "ms/MB",
            "growth",
            "target",
            "peak MiB",
            "growth",
            "target",
            "CPU s",
        ],
        rows=[
            _row(
                _name(profile, times),
                sources[times],
                sources[1],
                runs[_name(profile, times)],
                runs[_name(profile, 1)],
            )
            for profile in PROFILES
            for times in sources
        ],
    )


def _row(name: str, source: Input, base_source: Input, runs: Runs, base: Runs) -> list[str]:
    per_mb, base_per_mb = (
        runs.seconds_per_mb(source.summary.bytes),
        base.seconds_per_mb(base_source.summary.bytes),
    )
    slower, fatter = grown(per_mb, base_per_mb), grown(runs.peak_mib, base.peak_mib)
    is_base = source == base_source
    return [
        name,
        f"{source.summary.bytes / MB:.1f}",
        f"{runs.median_s:.2f}",
        f"{per_mb * 1000:.2f}",
        "" if is_base else f"{slower:+.1f} %",
        "" if is_base else _MORE_SECONDS_PER_MB.judge(slower),
        f"{runs.peak_mib:.0f}",
        "" if is_base else f"{fatter:+.1f} %",
        "" if is_base else _MORE_MEMORY.judge(fatter),
        f"{runs.median_cpu_s:.2f}",
    ]


def _name(profile: str, times: int) -> str:
    return f"{PROFILES[profile]}, {times} x"


def _into_empty(bench: Workbench, source: Input, profile: str) -> Run:
    with bench.folder() as folder:
        return bench.import_into(folder, source, profile)
