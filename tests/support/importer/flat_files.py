"""Flat files for a lake on disk, without a broker."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from services.importer.flat_files.handler import import_staged
from services.importer.interruption import Interruption
from shared.bus.messages import ImportFile, Job, JobSkipped, PartitionImported
from shared.massive.resources import BARS_ENDPOINT, WHOLE_MARKET, FlatFile, MassiveUrls
from tests.support.importer.bars import OPEN_MS
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON, a_job

HEADER: Final = "ticker,volume,open,close,high,low,window_start,transactions"
DAY: Final = date(2025, 11, 14)
URL: Final = MassiveUrls().url_of(FlatFile(DAY))


def a_flat_job(**changes: Any) -> Job:
    """Return the job of the flat file of 2025-11-14."""
    return a_job(ticker=WHOLE_MARKET, endpoint=BARS_ENDPOINT, base_url=URL, **changes)


def a_line(symbol: str = "AAPL", minute: int = 0, close: float = 270.75, **changes: Any) -> str:
    """Return the line of the ``minute``-th minute after the open."""
    values = {
        "ticker": symbol,
        "volume": 1200.5,
        "open": 270.5,
        "close": close,
        "high": 271.0,
        "low": 270.0,
        "window_start": (OPEN_MS + 60_000 * minute) * 1_000_000,
        "transactions": 31,
        **changes,
    }
    return ",".join(map(str, values.values()))


def packed(*lines: str, header: str = HEADER) -> bytes:
    """Return lines as a flat file."""
    return gzip.compress("".join(f"{line}\n" for line in (header, *lines)).encode(), mtime=0)


def import_flat_file(
    lake: LakeOnDisk, command: ImportFile, symbols: Iterable[str] | None = None
) -> PartitionImported | JobSkipped:
    """Import a staged flat file for symbols, or for all that it has."""
    wanted = None if symbols is None else frozenset(symbols)
    return import_staged(
        command, lake.lake, Interruption(), symbols=wanted, clock=lambda: NOON, limits=lake.settings.limits
    )


def import_lines(
    lake: LakeOnDisk,
    *lines: str,
    symbols: Iterable[str] | None = None,
    job: Job | None = None,
    **changes: Any,
) -> PartitionImported | JobSkipped:
    """Stage lines as a flat file, and import it."""
    command = lake.stage(packed(*lines), job or a_flat_job(), **changes)
    return import_flat_file(lake, command, symbols)
