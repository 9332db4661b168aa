"""The time to find gaps of minute bars: ``python -m bench.gaps``.

500 symbols with 250 sessions each, and 300 planted gaps, are searched by the importer's code, seven times;
the medians of the time and of the processor time are printed, and those of asking what the lake has of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.inputs import inputs_folder
from bench.measure import machine
from bench.measure.tables import Table
from bench.workloads.planted_gaps import LAST_DAY, fill, names, plant, sessions_before
from gexlake.api.chronox.bars import BarCoverageRequest, DetectGapsRequest, TradingDay
from services.importer.gaps.service import BarQueries
from services.importer.lake.database import Lake
from services.importer.settings import ImporterSettings
from services.intake.market_days import early_close

_ROUNDS: Final = 7
_MAX_S: Final = 5.0
_GAPS: Final = 300


def main() -> None:
    """Measure, and exit with 1 beyond the target, or if other gaps are found than were planted."""
    parser = argparse.ArgumentParser(prog="python -m bench.gaps", description="Measure the search for gaps.")
    parser.add_argument("--symbols", type=int, default=500, help="less for a trial")
    parser.add_argument("--days", type=int, default=250)
    options = parser.parse_args()
    print(machine.description(), end="\n\n", flush=True)
    folder = inputs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="gaps-", dir=folder) as scratch:
        sys.exit(_measured(Path(scratch), options.symbols, options.days))


def _measured(folder: Path, symbols: int, days: int) -> bool:
    """Print the figures, and return whether they miss the target."""
    lake = Lake.open(ImporterSettings(data_dir=folder))
    try:
        sessions = sessions_before(LAST_DAY, days)
        planted = plant(symbols, sessions, _GAPS)
        bars = fill(lake, symbols, sessions, planted)
        trading = tuple(TradingDay(day=day, closes_early=early_close(day) is not None) for day in sessions)
        request = DetectGapsRequest(symbols=names(symbols), days=trading, from_the_start=True)
        wanted = BarCoverageRequest(symbols=names(symbols), first=min(sessions), last=max(sessions))
        queries = BarQueries(lake, lambda: datetime.now(UTC))
        found = queries.detect(request)
        seconds, busy_s = _medians(lambda: queries.detect(request))
        covered_s, covering_s = _medians(lambda: queries.coverage(wanted))
    finally:
        lake.close()
    what = f"{symbols} symbols, {days} sessions, {bars / 1e6:.1f} million bars"
    rows = [
        [
            what,
            f"find gaps: {found.open} of {_GAPS} planted",
            f"{seconds:.2f}",
            f"{busy_s:.2f}",
            f"{_MAX_S:g}",
        ],
        [what, "bars and complete days of all symbols", f"{covered_s:.2f}", f"{covering_s:.2f}", ""],
    ]
    columns = ("lake", "what", "seconds", "processor s", "target s")
    print(Table("Gaps of minute bars", columns, rows).markdown())
    return seconds > _MAX_S or found.open != _GAPS


def _medians(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that work takes, and those of all processors."""
    times, busy = [], []
    for _ in range(_ROUNDS):
        began, busy_before = time.perf_counter(), time.process_time()
        work()
        times.append(time.perf_counter() - began)
        busy.append(time.process_time() - busy_before)
    return statistics.median(times), statistics.median(busy)


if __name__ == "__main__":
    main()
