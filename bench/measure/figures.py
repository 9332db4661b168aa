"""What is worked out from measured runs: medians, ratios, growth, and whether a target is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MIB: Final = 1024 * 1024
MB: Final = 1_000_000


@dataclass(frozen=True)
class Run:
    """One process, from its start to its end."""

    seconds: float
    cpu_s: float
    """What it used of all processors together, user and system."""
    peak_bytes: int
    """Its largest resident set."""


@dataclass(frozen=True)
class Runs:
    """The same thing done several times.

    Raises:
        ValueError: there is none.
    """

    each: Sequence[Run]

    def __post_init__(self) -> None:
        if not self.each:
            raise ValueError("nothing was measured")

    @property
    def median_s(self) -> float:
        """The median of the seconds."""
        return median(run.seconds for run in self.each)

    @property
    def median_cpu_s(self) -> float:
        """The median of the processor seconds."""
        return median(run.cpu_s for run in self.each)

    @property
    def peak_mib(self) -> float:
        """The largest of the peaks: a limit must hold every time."""
        return max(run.peak_bytes for run in self.each) / MIB

    @property
    def spread_s(self) -> tuple[float, float]:
        """The shortest and the longest run: how far to trust the median."""
        return min(run.seconds for run in self.each), max(run.seconds for run in self.each)

    def ratio_to(self, other: Runs) -> float:
        """Return the ratio of the medians."""
        return self.median_s / other.median_s

    def seconds_per_mb(self, size_bytes: int) -> float:
        """Return the median seconds for each 10⁶ bytes of the file."""
        return self.median_s / (size_bytes / MB)


@dataclass(frozen=True)
class Target:
    """An upper bound of a figure."""

    at_most: float

    def judge(self, figure: float) -> str:
        """Return the bound and whether the figure keeps it, for a cell of a table."""
        return f"≤ {self.at_most:g}: {'met' if figure <= self.at_most else 'MISSED'}"


def compared(name: str, runs: Runs, base: Runs, target: Target | None) -> list[str]:
    """Return the cells of how long something took, also against its base, and of what it needed."""
    ratio = runs.ratio_to(base)
    return [
        name,
        f"{runs.median_s:.2f}",
        "{:.2f} to {:.2f}".format(*runs.spread_s),
        f"{ratio:.3f}",
        target.judge(ratio) if target else "",
        f"{runs.peak_mib:.0f}",
        f"{runs.median_cpu_s:.2f}",
    ]


def grown(figure: float, base: float) -> float:
    """Return how much ``figure`` is above ``base``, in percent; negative if below."""
    return (figure / base - 1) * 100
