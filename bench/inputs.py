"""The input files: generated once and kept outside the repository.

They are in the folder ``GEXLAKE_BENCH_DIR``, by default ``gexlake-bench`` in the system's temporary folder.
Their names change with the generator.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO, Final

from bench.measure.processes import measure
from shared.gexbot.trading_day import bounds_ms
from simulator import generator, market
from simulator.generator import Day, FileSummary

_SOURCES: Final = (Path(generator.__file__), Path(market.__file__))
_RECORD: Final = b'{"timestamp":'
_TIMESTAMP: Final = re.compile(rb'({"timestamp":)(\d+)')
_CHUNK_BYTES: Final = 1 << 20
_SATURDAY: Final = 5


@dataclass(frozen=True)
class Input:
    """A generated file on disk."""

    day: Day
    summary: FileSummary
    path: Path


def inputs_folder() -> Path:
    """Return the folder of generated files."""
    return Path(os.environ.get("GEXLAKE_BENCH_DIR") or Path(gettempdir()) / "gexlake-bench").absolute()


def large_day(times: int, snapshots: int = Day.snapshots) -> Day:
    """Return a day with ``times`` as many snapshots in the same hours, and so ``times`` the bytes."""
    return Day(snapshots=snapshots * times, per_second=times)


def generated(day: Day, folder: Path, say: Callable[[str], object]) -> Input:
    """Return the file of a day, generated unless it exists.

    Args:
        day: the day.
        folder: the folder of generated files.
        say: called with the progress.

    Raises:
        BenchFailed: the file could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{_fingerprint(day)}_{day.file_name}"
    path = folder / name
    if not path.is_file():
        say(f"generating {day.snapshots} snapshots of {day.strikes} strikes")
        hidden = folder / f".{name}.{os.getpid()}"
        try:
            # In another process: see bench.measure.processes for why this one stays small.
            measure("simulator.generator", [*_words(day), "--out", str(hidden)], folder)
            hidden.rename(path)
        finally:
            hidden.unlink(missing_ok=True)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Input(day, FileSummary(day.snapshots, day.strike_rows, path.stat().st_size, sha256), path)


def weekdays_before(day: date, count: int) -> list[date]:
    """Return the ``count`` weekdays before a day, the earliest first."""
    return _weekdays(day, count, -1)[::-1]


def weekdays_after(day: date, count: int) -> list[date]:
    """Return the ``count`` weekdays after a day."""
    return _weekdays(day, count, 1)


def moved(source: Input, day: date, path: Path) -> Input:
    """Write the file with its session moved to another day: only the timestamps change."""
    by_s = (bounds_ms(day)[0] - bounds_ms(source.day.day)[0]) // 1000
    digest = hashlib.sha256()
    with source.path.open("rb") as old, path.open("wb") as new:
        for records in _whole_records(old):
            text = _TIMESTAMP.sub(lambda match: match[1] + b"%d" % (int(match[2]) + by_s), records)
            digest.update(text)
            new.write(text)
    summary = replace(source.summary, bytes=path.stat().st_size, sha256=digest.hexdigest())
    return Input(replace(source.day, day=day), summary, path)


def _whole_records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the file in blocks of whole records."""
    rest = b""
    while chunk := file.read(_CHUNK_BYTES):
        text = rest + chunk
        end = max(text.rfind(_RECORD), 0)
        yield text[:end]
        rest = text[end:]
    yield rest


def _weekdays(day: date, count: int, step: int) -> list[date]:
    found: list[date] = []
    while len(found) < count:
        day += timedelta(days=step)
        if day.weekday() < _SATURDAY:
            found.append(day)
    return found


def _words(day: Day) -> list[str]:
    """Return the generator's arguments for a day."""
    return [
        word
        for field in fields(day)
        for word in (f"--{field.name.replace('_', '-')}", str(getattr(day, field.name)))
    ]


def _fingerprint(day: Day) -> str:
    """Return a hash of the day's parameters and the generator's source."""
    sources = b"".join(source.read_bytes() for source in _SOURCES)
    return hashlib.sha256(sources + repr(day).encode()).hexdigest()[:12]
