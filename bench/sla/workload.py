"""What is requested, and when: values from a seed, the same for both floods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import merge
from itertools import product
from random import Random
from typing import Final

from gexlake.api.jobs import Priority
from simulator.generator import Day, file_name

SNAPSHOTS: Final = 520
"""A day of so many is 2 MB."""
LARGE: Final = 4
"""The large file has so many times the snapshots of a day: 600 MB."""
WARM_UP: Final = 30
"""Jobs before the flood: sizes and speeds are known, as in a system that has run before."""
_TICKERS: Final = ("NQ_NDX", "ES_SPX", "SPX", "QQQ", "SPY")
_KINDS: Final = tuple(product(_TICKERS, Day.ENDPOINTS))
_FIRST_DAY: Final = date(2010, 1, 1)
_URGENT: Final = (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM)
_MEAN_PAUSE_S: Final = 5.0
"""Between two requests of a level."""
_BURST_EVERY_S: Final = 60.0
_BURST: Final = 20
"""MEDIUM requests at once, so that LOW work has to wait for its turns."""


@dataclass(frozen=True)
class Requested:
    """A file, how urgent it is, and when it is requested.

    Args:
        name: of the file.
        ticker: in the file's name.
        endpoint: in the file's name.
        priority: with priorities; without them, all are MEDIUM.
        at_s: seconds after the flood.
    """

    name: str
    ticker: str
    endpoint: str
    priority: Priority
    at_s: float = 0.0

    @property
    def symbol(self) -> str:
        """The market's symbol."""
        return self.ticker.rpartition("_")[2]


def numbered(number: int, priority: Priority, at_s: float = 0.0) -> Requested:
    """Return the request for the file of a number: each has a ticker, endpoint and day of its own."""
    days, kind = divmod(number, len(_KINDS))
    ticker, endpoint = _KINDS[kind]
    name = file_name(_FIRST_DAY + timedelta(days), ticker, endpoint)
    return Requested(name, ticker, endpoint, priority, at_s)


def large(at_s: float) -> Requested:
    """Return the request for the large file."""
    day = Day()
    return Requested(day.file_name, day.ticker, day.endpoint, Priority.HIGH, at_s)


def urgent_requests(first_number: int, minutes: float, seed: int = 1) -> list[Requested]:
    """Return the requests that come during the flood, in their order.

    Args:
        first_number: of their files.
        minutes: how long they come.
        seed: of their times.
    """
    random, end_s = Random(seed), 60 * minutes
    moments = merge(
        *(_moments(random, priority, end_s) for priority in _URGENT),
        (
            (_BURST_EVERY_S * number, Priority.MEDIUM)
            for number in range(1, int(end_s / _BURST_EVERY_S) + 1)
            for _ in range(_BURST)
        ),
    )
    return [numbered(number, priority, at_s) for number, (at_s, priority) in enumerate(moments, first_number)]


def _moments(random: Random, priority: Priority, end_s: float) -> Iterator[tuple[float, Priority]]:
    found, at_s = [], random.expovariate(1 / _MEAN_PAUSE_S)
    while at_s < end_s:
        found.append((at_s, priority))
        at_s += random.expovariate(1 / _MEAN_PAUSE_S)
    return iter(found)
