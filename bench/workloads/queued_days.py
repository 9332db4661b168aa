"""Staged files of many days, and the commands to import them, without intake and fetcher."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.inputs import Input
from shared.bus.messages import ImportFile, Job, job_id_of
from shared.paths import LakePaths
from simulator.generator import Day

TICKERS: Final = ("NQ_NDX", "ES_SPX", "SPX", "QQQ", "SPY")
SNAPSHOTS: Final = 60
STRIKES: Final = 20
_FIRST_DAY: Final = date(2025, 1, 1)


def small_days(paths: LakePaths, days: int) -> Iterator[ImportFile]:
    """Stage small days of all tickers, day by day, and yield the commands to import them."""
    for number in range(days):
        for ticker in TICKERS:
            day = Day(ticker, "gex_zero", _FIRST_DAY + timedelta(number), SNAPSHOTS, STRIKES, seed=number)
            path = paths.staged(ticker, day.endpoint, day.file_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            yield _command(paths, path, day, day.write(path).sha256)


def repeated(paths: LakePaths, large: Input, times: int) -> Iterator[ImportFile]:
    """Stage one large day and yield ``times`` commands to import it."""
    day, sha256 = large.day, large.summary.sha256
    path = paths.staged(day.ticker, day.endpoint, day.file_name)
    path.parent.mkdir(parents=True)
    shutil.copyfile(large.path, path)
    for generation in range(1, times + 1):
        yield _command(paths, path, day, sha256, generation, force=True, reason="measured")


def _command(
    paths: LakePaths, path: Path, day: Day, sha256: str, generation: int = 1, **changes: Any
) -> ImportFile:
    base_url = f"https://hist.gex.bot/{day.file_name}"
    job = Job(
        job_id=job_id_of(day.ticker, day.endpoint, base_url),
        generation=generation,
        ticker=day.ticker,
        endpoint=day.endpoint,
        trading_day=day.day,
        base_url=base_url,
        requested_at=datetime.now(UTC),
    )
    found = path.stat()
    return ImportFile(
        job=job,
        staged_path=paths.relative_to_staging(path),
        size_bytes=found.st_size,
        sha256=sha256,
        modified_ns=found.st_mtime_ns,
        **changes,
    )
