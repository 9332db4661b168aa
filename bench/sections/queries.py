"""Usual queries on the tables and the Parquet files of both layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.measure.processes import BenchFailed, measure
from bench.measure.tables import Table
from bench.workbench import SEED_DATABASE, SEED_PARQUET, Workbench
from shared.gexbot.partition import Partition
from shared.paths import LakePaths
from simulator.generator import Day
from simulator.market import strikes_around

SEED: Final = "seed"
OURS: Final = "gexlake"
TIMES: Final = 5
"""How often each process runs each query."""

_PROFILE: Final = """
SELECT strike, gamma, oi_gamma, priors FROM {strikes} WHERE {where} AND timestamp = {at_ms}"""
_SERIES: Final = """
SELECT timestamp, gamma FROM {strikes} WHERE {where} AND strike = {strike} ORDER BY timestamp"""
_LINE: Final = """
SELECT timestamp, spot_price, zero_gamma FROM gex_snapshots WHERE {where} ORDER BY timestamp"""
_MEAN: Final = """
SELECT strike, avg(gamma), max(abs(gamma)) FROM {strikes} WHERE {where} GROUP BY strike ORDER BY strike"""


@dataclass(frozen=True)
class Question:
    """A query and what it reads; ``{strikes}`` and ``{where}`` depend on the layout."""

    title: str
    of: str
    sql: str


QUESTIONS: Final = (
    Question("the profile at one second", "table", _PROFILE),
    Question("the profile at one second", "Parquet", _PROFILE),
    Question("one strike over the day", "table", _SERIES),
    Question("one strike over the day", "Parquet", _SERIES),
    Question("the zero-gamma line of the day", "table", _LINE),
    Question("mean and largest gamma of each strike", "Parquet", _MEAN),
)


@dataclass(frozen=True)
class Layout:
    """The files of one layout, and its filter for the day."""

    database: Path
    parquet: Path
    where: str

    def queries(self, day: Day) -> list[str]:
        """Return the layout's SQL for a day."""
        tables = {"table": "gex_strikes", "Parquet": f"read_parquet('{self.parquet}')"}
        at_ms = (day.first_timestamp_s + day.snapshots // day.per_second // 2) * 1000
        strike = strikes_around(day.ticker, day.strikes)[day.strikes // 2]
        return [
            each.sql.format(strikes=tables[each.of], where=self.where, at_ms=at_ms, strike=strike)
            for each in QUESTIONS
        ]


def measured(bench: Workbench) -> list[Table]:
    """Import the 1x day in both layouts and query them, interleaved.

    Raises:
        BenchFailed: the layouts return different numbers of rows.
    """
    source = bench.input()
    with bench.folder() as lake, bench.folder() as seed:
        bench.import_into(lake, source)
        bench.import_by_seed(seed, source)
        layouts = {SEED: _seed_layout(seed, source.day), OURS: _our_layout(lake, source.day)}
        seconds: dict[str, list[list[float]]] = {name: [[] for _ in QUESTIONS] for name in layouts}
        for number in range(bench.runs):
            bench.say(f"{number + 1} of {bench.runs}: queries")
            rows = {name: _run_queries(each, source.day, seconds[name]) for name, each in layouts.items()}
            if rows[SEED] != rows[OURS]:
                raise BenchFailed(f"the layouts return different numbers of rows: {rows}")
    return [table(seconds)]


def table(seconds: Mapping[str, Sequence[Sequence[float]]]) -> Table:
    """Return the table of the figures, given each layout's seconds for each query."""
    medians = {name: [median(each) * 1000 for each in measured] for name, measured in seconds.items()}
    return Table(
        title="Queries",
        note="One day; medians, with the files in the page cache.",
        columns=["question", "of", "seed layout, ms", "gexlake, ms", "ratio"],
        rows=[
            [each.title, each.of, f"{seed:.1f}", f"{ours:.1f}", f"{ours / seed:.2f}"]
            for each, seed, ours in zip(QUESTIONS, medians[SEED], medians[OURS], strict=True)
        ],
    )


def _run_queries(layout: Layout, day: Day, seconds: list[list[float]]) -> list[int]:
    """Run all queries in a process of its own, add their seconds, and return the numbers of rows."""
    words = [str(layout.database), str(TIMES), *layout.queries(day)]
    answers = json.loads(measure("bench.workloads.timed_queries", words, layout.database.parent).printed)
    for noted, answer in zip(seconds, answers, strict=True):
        noted.extend(answer["seconds"])
    return [int(answer["rows"]) for answer in answers]


def _our_layout(lake: Path, day: Day) -> Layout:
    paths = LakePaths.under(lake)
    parquet = paths.parquet(Partition(day.ticker, day.endpoint, day.day))
    return Layout(paths.database, parquet, f"ticker = '{day.ticker}' AND endpoint = '{day.endpoint}'")


def _seed_layout(folder: Path, day: Day) -> Layout:
    return Layout(folder / SEED_DATABASE, folder / SEED_PARQUET, f"ticker = '{day.ticker}'")
