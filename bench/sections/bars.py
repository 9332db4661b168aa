"""A flat file against DuckDB and Polars, and a month of fifty symbols through CHRONOX."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.measure.figures import MB, Run, Runs, Target
from bench.measure.processes import BenchFailed, measure
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.workbench import Workbench
from simulator.massive import flat_files, market, whole_market
from simulator.massive.whole_market import ROWS, SYMBOLS

DAY: Final = date(2025, 11, 14)
OURS: Final = "gexlake"
DUCKDB: Final = "DuckDB's own reader"
POLARS: Final = "Polars' own reader"
MONTH_SYMBOLS: Final = 50

_WAYS: Final = {DUCKDB: "duckdb", POLARS: "polars", OURS: "gexlake"}
_RATIO: Final = Target(1.2)
_SOURCES: Final = (Path(flat_files.__file__), Path(market.__file__), Path(whole_market.__file__))


@dataclass(frozen=True)
class FlatFileInput:
    """A generated flat file on disk."""

    path: Path
    bars: int


def measured(bench: Workbench) -> list[Table]:
    """Store the day in all ways, in turns, and then the month.

    Raises:
        BenchFailed: a way failed, or stored another number of bars.
    """
    share = 1 if bench.is_full_size else 100
    source = generated(bench, SYMBOLS // share, ROWS // share)
    ways = {name: partial(_stored, bench, source, way) for name, way in _WAYS.items()}
    day = day_table(source, interleaved(ways, bench.runs, bench.say))
    return [day, _month(bench, MONTH_SYMBOLS // share or 1)]


def generated(bench: Workbench, symbols: int, rows: int) -> FlatFileInput:
    """Return the flat file of a day, generated unless it exists.

    Raises:
        BenchFailed: it could not be written.
    """
    sources = b"".join(source.read_bytes() for source in _SOURCES)
    version = hashlib.sha256(sources + f"{symbols} {rows}".encode()).hexdigest()[:12]
    path = bench.inputs / f"{version}_{DAY}.csv.gz"
    counts = path.with_suffix(".json")
    if not counts.is_file():
        bench.say(f"generating a flat file of {symbols} symbols")
        words = [*("--day", str(DAY), "--symbols", str(symbols), "--rows", str(rows)), "--out", str(path)]
        printed = measure("simulator.massive.whole_market", words, bench.inputs).printed
        counts.write_text(printed)
    return FlatFileInput(path, json.loads(counts.read_text())["bars"])


def day_table(source: FlatFileInput, runs: Mapping[str, Runs]) -> Table:
    """Return the table of a day; ratios are to the faster of the other two."""
    fastest = min((runs[DUCKDB], runs[POLARS]), key=lambda each: each.median_s)
    return Table(
        title="A day of minute bars from a flat file",
        note=f"{source.bars:,} bars, {source.path.stat().st_size / MB:.1f} MB of csv.gz.",
        columns=("how", "s (median)", "s (range)", "of the faster reader", "target", "peak MiB", "CPU s"),
        rows=[_row(name, each, fastest) for name, each in runs.items()],
    )


def _row(name: str, runs: Runs, fastest: Runs) -> list[str]:
    ratio = runs.ratio_to(fastest)
    return [
        name,
        f"{runs.median_s:.2f}",
        "{:.2f} to {:.2f}".format(*runs.spread_s),
        f"{ratio:.3f}",
        _RATIO.judge(ratio) if name == OURS else "",
        f"{runs.peak_mib:.0f}",
        f"{runs.median_cpu_s:.2f}",
    ]


def _stored(bench: Workbench, source: FlatFileInput, way: str) -> Run:
    with bench.folder() as folder:
        file = folder / f"{DAY}.csv.gz"
        os.link(source.path, file)
        words = [way, str(file), "--day", str(DAY), "--folder", str(folder)]
        finished = measure("bench.workloads.flat_file_once", words, folder)
    found = json.loads(finished.printed.splitlines()[-1])
    if found["bars"] != source.bars:
        raise BenchFailed(f"{way} stored {found['bars']} of {source.bars} bars")
    return Run(found["seconds"], finished.run.cpu_s, finished.run.peak_bytes)


def _month(bench: Workbench, symbols: int) -> Table:
    done: list[dict[str, float]] = []
    for number in range(1, bench.runs + 1):
        with bench.folder() as folder:
            finished = measure("bench.workloads.month_of_bars", ["--symbols", str(symbols)], folder)
        done.append(json.loads(finished.printed.splitlines()[-1]))
        bench.say(f"{number} of {bench.runs}: a month: {done[-1]['seconds']:.2f} s")
    return month_table(symbols, done)


def month_table(symbols: int, done: list[dict[str, float]]) -> Table:
    """Return the table of a month."""
    seconds, bars = median(each["seconds"] for each in done), done[0]["bars"]
    row = [
        f"{symbols} symbols, {done[0]['messages']:,} messages",
        f"{bars:,}",
        f"{seconds:.2f}",
        f"{bars / seconds:,.0f}",
        f"{max(each['peak_bytes'] for each in done) / (1 << 20):.0f}",
        f"{median(each['cpu_s'] for each in done):.2f}",
    ]
    columns = ("a month", "bars", "s (median)", "bars/s", "importer's peak MiB", "importer's CPU s")
    return Table("A month of minute bars through CHRONOX", columns, [row])
