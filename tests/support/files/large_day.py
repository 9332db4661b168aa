"""A day's file of any size, written in seconds: half an hour of generated records, over and over."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from simulator.generator import LAGS_S, Day

PER_SECOND: Final = 4
_PERIOD_S: Final = LAGS_S[-1]


@dataclass(frozen=True)
class LargeDay:
    """A trading day with four snapshots a second, of at least ``size_bytes``.

    The records are those of the generated ``day``'s second half hour, whose priors are all there, each time
    with a timestamp of its own.
    """

    day: Day
    size_bytes: int

    def write(self, path: Path) -> int:
        """Write the file and return how many snapshots it holds."""
        ends = [record.partition(b",")[2] for record in self._records]
        snapshots = written = 0
        with path.open("wb") as file:
            while written < self.size_bytes:
                opening = b"," if snapshots else b"["
                stamp = repr(self._second(snapshots)).encode()
                end = ends[snapshots % _PERIOD_S]
                written += file.write(b'%b{"timestamp":%b,%b' % (opening, stamp, end))
                snapshots += 1
            file.write(b"]")
        return snapshots

    def record(self, number: int) -> dict[str, Any]:
        """Return a record of the file, the first being 0."""
        parsed: dict[str, Any] = json.loads(self._records[number % _PERIOD_S])
        return {**parsed, "timestamp": self._second(number)}

    def total(self, figure: Callable[[dict[str, Any]], int], snapshots: int) -> int:
        """Return the sum of a figure over the records of a file with so many snapshots."""
        figures = [figure(json.loads(record)) for record in self._records]
        periods, rest = divmod(snapshots, _PERIOD_S)
        return periods * sum(figures) + sum(figures[:rest])

    def _second(self, number: int) -> float:
        return self.day.first_timestamp_s + number / PER_SECOND

    @cached_property
    def _records(self) -> list[bytes]:
        texts = (json.dumps(record, separators=(",", ":")).encode() for record in self.day.records())
        return list(islice(texts, _PERIOD_S, 2 * _PERIOD_S))
