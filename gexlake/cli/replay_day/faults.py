"""Faults in the order of records: some are left out, some come twice, some come late."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic, TypeVar

MAX_DELAY: Final = 5
"""After how many later records one that is out of order comes at the latest."""

T = TypeVar("T")


@dataclass(frozen=True)
class Faults:
    """How often each fault occurs, from 0 to 1, and what it is drawn from.

    Args:
        gaps: a record is left out.
        duplicates: a record comes twice.
        disorder: a record comes after one to ``MAX_DELAY`` later ones.
        seed: the same seed draws the same faults; each kind is drawn by itself.
    """

    gaps: float = 0.0
    duplicates: float = 0.0
    disorder: float = 0.0
    seed: int = 0


@dataclass
class FaultCounts:
    """How many records had which fault."""

    gaps: int = 0
    duplicates: int = 0
    reordered: int = 0


@dataclass(order=True)
class _Waiting(Generic[T]):
    position: float
    number: int
    copies: int = field(compare=False)
    record: T = field(compare=False)


class FaultPlan(Generic[T]):
    """Puts faults into a sequence of records.

    Args:
        faults: which.
    """

    def __init__(self, faults: Faults) -> None:
        self.counts = FaultCounts()
        self._faults = faults
        kinds = ("gaps", "duplicates", "disorder", "delays")
        self._gaps, self._duplicates, self._disorder, self._delays = (
            Random(f"{faults.seed} {kind}")  # noqa: S311 (faults, not secrets)
            for kind in kinds
        )
        self._number = 0
        self._newest = -1
        self._waiting: list[_Waiting[T]] = []

    def take(self, record: T) -> list[T]:
        """Return what is to be sent when the next record would be, in order."""
        number = self._number
        self._number += 1
        # Each kind is drawn for each record, so that one kind does not move the others.
        is_gap = self._gaps.random() < self._faults.gaps
        is_twice = self._duplicates.random() < self._faults.duplicates
        is_late = self._disorder.random() < self._faults.disorder
        delay = self._delays.randint(1, MAX_DELAY)
        if is_gap:
            self.counts.gaps += 1
        else:
            # The half puts it behind the record in whose place it comes.
            position = number + delay + 0.5 if is_late else number
            heapq.heappush(self._waiting, _Waiting(position, number, 1 + is_twice, record))
        return self._due(number + 0.75)

    def rest(self) -> list[T]:
        """Return what is still to be sent after the last record, in order."""
        return self._due(float("inf"))

    def _due(self, position: float) -> list[T]:
        records: list[T] = []
        while self._waiting and self._waiting[0].position <= position:
            next_one = heapq.heappop(self._waiting)
            records += [next_one.record] * next_one.copies
            self.counts.duplicates += next_one.copies - 1
            self.counts.reordered += next_one.number < self._newest
            self._newest = max(self._newest, next_one.number)
        return records
