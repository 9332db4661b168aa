"""The fetcher against curl and sha256sum on the same server: one file, and many files four at a time."""

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
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.workbench import Workbench
from bench.workloads.fetching import SLOTS, Fetching, fetching

CURL: Final = "curl -o, then sha256sum"
CURLS: Final = f"{SLOTS} parallel curls, each then sha256sum"
FETCHER: Final = "gexlake's fetcher"
LARGER: Final = "gexlake's fetcher, a file of 4 times the size"
FILES: Final = 32

_ONE_FILE: Final = Target(1.0)
_MANY_FILES: Final = Target(1.5)
_PEAK_MIB: Final = Target(round(100 * MB / MIB, 1))
_COLUMNS: Final = (
    "how",
    "s (median)",
    "s (range)",
    "of curl and sha256sum",
    "target",
    "peak MiB",
    "target",
    "CPU s",
)
_SHARE: Final = 4
"""Each of the many files has one snapshot of so many of the day."""


def measured(bench: Workbench) -> list[Table]:
    """Fetch one file and many with curl and with a running fetcher, alternately.

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
            CURLS: partial(_curls, fetched, folder),
            FETCHER: partial(_fetch, fetched, many, [f"{number}.json" for number in range(FILES)]),
        }
        return [
            single_table(one, larger, interleaved(single, bench.runs, bench.say)),
            many_table(many, interleaved(parallel, bench.runs, bench.say)),
        ]


def single_table(one: Input, larger: Input, runs: Mapping[str, Runs]) -> Table:
    """Return the table of one file."""
    sizes = f"{one.summary.bytes / MB:.1f} MB and {larger.summary.bytes / MB:.1f} MB"
    return Table(
        title="Fetching one file, on loopback",
        note=f"{sizes}. The fetcher's time is from the command to the event that the file is staged.",
        columns=_COLUMNS,
        rows=[
            _curl_row(CURL, runs[CURL]),
            _row(FETCHER, runs[FETCHER], runs[CURL], _ONE_FILE),
            _row(LARGER, runs[LARGER]),
        ],
    )


def many_table(many: Input, runs: Mapping[str, Runs]) -> Table:
    """Return the table of many files."""
    return Table(
        title=f"Fetching {FILES} files, {SLOTS} at once, on loopback",
        note=f"{many.summary.bytes / MB:.1f} MB each. curl flushes nothing to the disk.",
        columns=_COLUMNS,
        rows=[
            _curl_row(CURLS, runs[CURLS]),
            _row(FETCHER, runs[FETCHER], runs[CURLS], _MANY_FILES),
        ],
    )


def _curl_row(name: str, runs: Runs) -> list[str]:
    return _cells(name, runs, "1.00", "", "")


def _row(name: str, runs: Runs, base: Runs | None = None, target: Target | None = None) -> list[str]:
    ratio = runs.ratio_to(base) if base else None
    judged = target.judge(ratio) if target and ratio is not None else ""
    shown = "" if ratio is None else f"{ratio:.2f}"
    return _cells(name, runs, shown, judged, _PEAK_MIB.judge(runs.peak_mib))


def _cells(name: str, runs: Runs, ratio: str, ratio_judged: str, peak_judged: str) -> list[str]:
    seconds = [f"{runs.median_s:.2f}", "{:.2f} to {:.2f}".format(*runs.spread_s)]
    return [
        name,
        *seconds,
        ratio,
        ratio_judged,
        f"{runs.peak_mib:.0f}",
        peak_judged,
        f"{runs.median_cpu_s:.2f}",
    ]


@contextmanager
def _served(bench: Workbench, one: Input, larger: Input, many: Input) -> Iterator[tuple[Fetching, Path]]:
    """Run a vendor with the files and a fetcher; yield the fetcher and a folder for curl's files."""
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
    if source.summary.sha256 not in finished[1]:
        raise BenchFailed(f"curl's file has another sha256 than {source.summary.sha256}: {finished[1]}")
    return finished[0]


def _curls(fetched: Fetching, folder: Path) -> Run:
    each = shlex.quote(f"curl -sSfo @ {fetched.base_url}@ && sha256sum @")
    names = " ".join(f"{number}.json" for number in range(FILES))
    return _shell(f"printf '%s\\n' {names} | xargs -P {SLOTS} -I@ sh -c {each}", folder)[0]


def _shell(command: str, folder: Path) -> tuple[Run, str]:
    finished = measure_command(["sh", "-c", command], folder, name="curl")
    for path in folder.iterdir():
        path.unlink()
    return finished.run, finished.printed


def _fetch(fetched: Fetching, source: Input, names: list[str]) -> Run:
    """Fetch with a fetcher that has just started and is idle."""
    fetched.restart()
    os.sync()
    run = fetched.fetch(names, source.summary.sha256)
    for path in fetched.staged():
        path.unlink()
    return run
