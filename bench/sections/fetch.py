"""The fetcher against curl on the same server, in turns: one day with its checksum, and many four at once."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.inputs import Input
from bench.measure.figures import MB, MIB, Run, Runs, Target
from bench.measure.processes import BenchFailed, measure_command
from bench.measure.rounds import in_turns
from bench.measure.tables import Table
from bench.workbench import Workbench
from bench.workloads.fetching import SLOTS, Fetching, fetching

CURL: Final = "curl -o, then sha256sum"
CURLS: Final = f"{SLOTS} parallel curls"
CURLS_AND_SUMS: Final = f"{SLOTS} parallel curls, each with sha256sum"
FETCHER: Final = "gexlake's fetcher"
LARGER: Final = "the same, a file of 4 times the size"
FILES: Final = 32

_RATIO: Final = Target(1.5)
_PEAK_MIB: Final = Target(round(100 * MB / MIB, 1))
_COLUMNS: Final = ("how", "s (median)", "s (range)", "of curl", "target", "peak MiB", "target", "CPU s")
_SHARE: Final = 4
"""Each of the many files is of a day with so many times fewer snapshots."""


def measured(bench: Workbench) -> list[Table]:
    """Fetch one file and many, by curl and by a fetcher that runs already, in turns.

    Raises:
        BenchFailed: a fetch failed, or curl did.
        StackError: the fetcher did not start.
    """
    if shutil.which("curl") is None:
        raise BenchFailed("the section fetch compares with curl: install it")
    one, larger, many = bench.input(), bench.input(4), bench.shorter(_SHARE)
    with _served(bench, one, larger, many) as (fetched, folder):
        single = {
            CURL: partial(_curl, fetched, folder, one),
            FETCHER: partial(_fetch, fetched, one, ["one.json"]),
            LARGER: partial(_fetch, fetched, larger, ["larger.json"]),
        }
        parallel = {
            CURLS: partial(_curls, fetched, folder, "curl -sSfo @ "),
            CURLS_AND_SUMS: partial(_curls, fetched, folder, "curl -sSfo @ ", "&& sha256sum @"),
            FETCHER: partial(_fetch, fetched, many, [f"{number}.json" for number in range(FILES)]),
        }
        return [
            single_table(one, larger, in_turns(single, bench.runs, bench.say)),
            many_table(many, in_turns(parallel, bench.runs, bench.say)),
        ]


def single_table(one: Input, larger: Input, runs: Mapping[str, Runs]) -> Table:
    """Return the table of one file."""
    sizes = f"{one.facts.bytes / MB:.1f} MB, and {larger.facts.bytes / MB:.1f} MB"
    return Table(
        title="Fetching one file, on loopback",
        note=f"{sizes}. The fetcher's time is from the command to the fact that the file is staged.",
        columns=_COLUMNS,
        rows=[
            _row(CURL, runs[CURL], runs[CURL], judged=False),
            _row(FETCHER, runs[FETCHER], runs[CURL]),
            _row(LARGER, runs[LARGER], None),
        ],
    )


def many_table(many: Input, runs: Mapping[str, Runs]) -> Table:
    """Return the table of many files."""
    return Table(
        title=f"Fetching {FILES} files, {SLOTS} at once, on loopback",
        note=f"{many.facts.bytes / MB:.1f} MB each. curl alone computes no checksum and flushes nothing.",
        columns=[*_COLUMNS, "of curl and sha256sum"],
        rows=[
            [
                *_row(name, runs[name], runs[CURLS], judged=name == FETCHER),
                f"{runs[name].ratio_to(runs[CURLS_AND_SUMS]):.2f}",
            ]
            for name in (CURLS, CURLS_AND_SUMS, FETCHER)
        ],
    )


def _row(name: str, runs: Runs, base: Runs | None, *, judged: bool = True) -> list[str]:
    ratio = runs.ratio_to(base) if base else None
    return [
        name,
        f"{runs.median_s:.2f}",
        "{:.2f} to {:.2f}".format(*runs.spread_s),
        "" if ratio is None else f"{ratio:.2f}",
        _RATIO.judge(ratio) if judged and ratio is not None else "",
        f"{runs.peak_mib:.0f}",
        _PEAK_MIB.judge(runs.peak_mib) if judged else "",
        f"{runs.median_cpu_s:.2f}",
    ]


@contextmanager
def _served(bench: Workbench, one: Input, larger: Input, many: Input) -> Iterator[tuple[Fetching, Path]]:
    """Run a vendor that has the files, and a fetcher; yield it, and a folder for what curl writes."""
    with bench.folder() as folder:
        served, written = folder / "vendor", folder / "curl"
        served.mkdir()
        written.mkdir()
        os.link(one.path, served / "one.json")
        os.link(larger.path, served / "larger.json")
        for number in range(FILES):
            os.link(many.path, served / f"{number}.json")
        with fetching(served, folder / "stack") as fetched:
            yield fetched, written


def _curl(fetched: Fetching, folder: Path, source: Input) -> Run:
    target = shlex.quote(str(folder / "one.json"))
    finished = _shell(f"curl -sSfo {target} {fetched.base_url}one.json && sha256sum {target}", folder)
    if source.facts.sha256 not in finished[1]:
        raise BenchFailed("curl brought another file")
    return finished[0]


def _curls(fetched: Fetching, folder: Path, command: str, then: str = "") -> Run:
    each = shlex.quote(f"{command} {fetched.base_url}@ {then}")
    names = " ".join(f"{number}.json" for number in range(FILES))
    return _shell(f"printf '%s\\n' {names} | xargs -P {SLOTS} -I@ sh -c {each}", folder)[0]


def _shell(command: str, folder: Path) -> tuple[Run, str]:
    finished = measure_command(["sh", "-c", command], folder, name="curl")
    for path in folder.iterdir():
        path.unlink()
    return finished.run, finished.printed


def _fetch(fetched: Fetching, source: Input, names: list[str]) -> Run:
    """Fetch with a fetcher that has just started and fetches nothing yet."""
    fetched.restart()
    os.sync()
    run = fetched.fetch(names, source.facts.sha256)
    for path in fetched.staged():
        path.unlink()
    return run
