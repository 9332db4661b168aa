"""The environment of every section: inputs, a scratch folder, and imports as processes."""

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
    """Sizes on disk after an import."""

    parquet_bytes: int
    database_bytes: int

    def cells(self) -> list[str]:
        """Return both in 10⁶ bytes."""
        return [f"{self.parquet_bytes / MB:.1f}", f"{self.database_bytes / MB:.1f}"]


@dataclass(frozen=True)
class Workbench:
    """Where and how often to measure.

    Args:
        inputs: the folder of generated files.
        scratch: the folder for temporary lakes, on the same filesystem.
        runs: how often each thing is measured.
        snapshots: the number of snapshots of the 1x day.
        partitions: the number of partitions of the full lake.
        say: called with the progress.
    """

    inputs: Path
    scratch: Path
    runs: int
    snapshots: int
    partitions: int
    say: Callable[[str], object]

    @property
    def is_full_size(self) -> bool:
        """Whether the 1x day has the size that the targets refer to."""
        return self.snapshots == Day.snapshots

    def input(self, times: int = 1) -> Input:
        """Return the input of ``times`` the bytes of the 1x day."""
        return generated(large_day(times, self.snapshots), self.inputs, self.say)

    def shorter(self, times: int) -> Input:
        """Return an input with ``times`` fewer snapshots."""
        return generated(Day(snapshots=max(1, self.snapshots // times)), self.inputs, self.say)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield a temporary folder."""
        folder = Path(mkdtemp(dir=self.scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def on_day(self, source: Input, day: date) -> Iterator[Input]:
        """Yield the same session moved to another day, in a temporary file."""
        with self.folder() as folder:
            yield moved(source, day, folder / day.isoformat())

    def import_into(self, data_dir: Path, source: Input, profile: str = AUTO) -> Run:
        """Import a file into a lake, in a process of its own.

        Args:
            data_dir: the lake's folder; created when missing.
            source: the file.
            profile: of memory: auto, fast or bounded.

        Raises:
            BenchFailed: the import failed, or its counts are not those of the file.
        """
        day = source.day
        staged = LakePaths.under(data_dir).staged(day.ticker, day.endpoint, day.file_name)
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.unlink(missing_ok=True)
        os.link(source.path, staged)
        options = {"--sha256": source.summary.sha256, "--data-dir": str(data_dir), "--profile": profile}
        words = [str(staged), *chain.from_iterable(options.items())]
        finished = measure("bench.workloads.import_once", words, data_dir)
        staged.unlink()
        _check_counts(finished, source)
        return finished.run

    def import_by_seed(self, folder: Path, source: Input) -> Run:
        """Import a file as the first system did, in a process of its own.

        Raises:
            BenchFailed: the import failed, or its counts are not those of the file.
        """
        day = source.day
        files = [source.path, folder / SEED_DATABASE, folder / SEED_PARQUET]
        words = [*map(str, files), "--ticker", day.ticker, "--day", day.day.isoformat()]
        finished = measure("bench.workloads.seed_sql", words, folder)
        _check_counts(finished, source)
        return finished.run


def sizes_of_lake(data_dir: Path, day: Day) -> Sizes:
    """Return the sizes of a partition's Parquet file and of the lake's database."""
    paths = LakePaths.under(data_dir)
    parquet = paths.parquet(Partition(day.ticker, day.endpoint, day.day))
    return Sizes(parquet.stat().st_size, paths.database.stat().st_size)


def sizes_of_seed(folder: Path) -> Sizes:
    """Return the sizes of the first system's Parquet file and database."""
    return Sizes((folder / SEED_PARQUET).stat().st_size, (folder / SEED_DATABASE).stat().st_size)


def _check_counts(finished: Finished, source: Input) -> None:
    counts = json.loads(finished.printed.splitlines()[-1])
    expected = {"snapshots": source.summary.snapshots, "strike_rows": source.summary.strike_rows}
    if counts != expected:
        raise BenchFailed(f"{source.day.file_name} holds {expected}, but {counts} were imported")
