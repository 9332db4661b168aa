"""What every section works with: inputs, a scratch folder, and imports as whole processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from bench.inputs import Input, generated, large_day, moved
from bench.measure.figures import MB, Run
from bench.measure.processes import BenchFailed, Finished, measure
from shared.gexbot.partition import Partition
from shared.paths import LakePaths
from simulator.generator import Day

AUTO: Final = "auto"
BOUNDED: Final = "bounded"

SEED_DATABASE: Final = "gex_data.db"
SEED_PARQUET: Final = "strikes.parquet"


@dataclass(frozen=True)
class Sizes:
    """What an import leaves on disk."""

    parquet_bytes: int
    database_bytes: int

    def cells(self) -> list[str]:
        """Return both in 10⁶ bytes."""
        return [f"{self.parquet_bytes / MB:.1f}", f"{self.database_bytes / MB:.1f}"]


@dataclass(frozen=True)
class Workbench:
    """Where and how often to measure.

    Args:
        inputs: where generated files are kept.
        scratch: where lakes are made; on the same filesystem.
        runs: how often each thing is measured.
        snapshots: how many the 1x day has.
        partitions: how many the full lake has.
        say: told what is being done.
    """

    inputs: Path
    scratch: Path
    runs: int
    snapshots: int
    partitions: int
    say: Callable[[str], object]

    @property
    def is_full_size(self) -> bool:
        """Whether the 1x day is the one that the targets speak of."""
        return self.snapshots == Day.snapshots

    def input(self, times: int = 1) -> Input:
        """Return the day of ``times`` the bytes."""
        return generated(large_day(times, self.snapshots), self.inputs, self.say)

    def shorter(self, times: int) -> Input:
        """Return a day with so many times fewer snapshots."""
        return generated(Day(snapshots=max(1, self.snapshots // times)), self.inputs, self.say)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder that is removed in the end."""
        folder = Path(mkdtemp(dir=self.scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def on_day(self, source: Input, day: date) -> Iterator[Input]:
        """Have the same session on another day for as long as the context lasts."""
        with self.folder() as folder:
            yield moved(source, day, folder / day.isoformat())

    def import_into(self, data_dir: Path, source: Input, profile: str = AUTO) -> Run:
        """Import a file into a lake with a process of its own.

        Args:
            data_dir: the lake's folder; created when missing.
            source: the file.
            profile: of memory: auto, fast or bounded.

        Raises:
            BenchFailed: it failed, or holds other counts than the file.
        """
        day = source.day
        staged = LakePaths.under(data_dir).staged(day.ticker, day.endpoint, day.file_name)
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.unlink(missing_ok=True)
        os.link(source.path, staged)
        options = {"--sha256": source.facts.sha256, "--data-dir": str(data_dir), "--profile": profile}
        words = [str(staged), *chain.from_iterable(options.items())]
        finished = measure("bench.workloads.import_once", words, data_dir)
        staged.unlink()
        _check_counts(finished, source)
        return finished.run

    def import_by_seed(self, folder: Path, source: Input) -> Run:
        """Import a file as the first system did, with a process of its own.

        Raises:
            BenchFailed: it failed, or holds other counts than the file.
        """
        day = source.day
        files = [source.path, folder / SEED_DATABASE, folder / SEED_PARQUET]
        words = [*map(str, files), "--ticker", day.ticker, "--day", day.day.isoformat()]
        finished = measure("bench.workloads.seed_sql", words, folder)
        _check_counts(finished, source)
        return finished.run


def sizes_of_lake(data_dir: Path, day: Day) -> Sizes:
    """Return what a partition's Parquet file and the whole database of a lake take."""
    paths = LakePaths.under(data_dir)
    parquet = paths.parquet(Partition(day.ticker, day.endpoint, day.day))
    return Sizes(parquet.stat().st_size, paths.database.stat().st_size)


def sizes_of_seed(folder: Path) -> Sizes:
    """Return the same of what the first system leaves."""
    return Sizes((folder / SEED_PARQUET).stat().st_size, (folder / SEED_DATABASE).stat().st_size)


def _check_counts(finished: Finished, source: Input) -> None:
    said = json.loads(finished.printed.splitlines()[-1])
    expected = {"snapshots": source.facts.snapshots, "strike_rows": source.facts.strike_rows}
    if said != expected:
        raise BenchFailed(f"{source.day.file_name} holds {expected}, imported were {said}")
