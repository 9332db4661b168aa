"""Figures of measured runs: medians, ratios, growth, and whether a target is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MIB: Final = 1024 * 1024
MB: Final = 1_000_000


@dataclass(frozen=True)
class Run:
    """One run of a process, from start to end."""

    seconds: float
    cpu_s: float
    """CPU seconds over all processors, user and system."""
    peak_bytes: int
    """The peak resident set."""


@dataclass(frozen=True)
class Runs:
    """Several runs of the same thing.

    Raises:
        ValueError: there are no runs.
    """

    each: Sequence[Run]

    def __post_init__(self) -> None:
        if not self.each:
            raise ValueError("expected at least one run, got none")

    @property
    def median_s(self) -> float:
        """Median seconds."""
        return median(run.seconds for run in self.each)

    @property
    def median_cpu_s(self) -> float:
        """Median CPU seconds."""
        return median(run.cpu_s for run in self.each)

    @property
    def peak_mib(self) -> float:
        """The maximum of the peaks, since a limit must hold in every run."""
        return max(run.peak_bytes for run in self.each) / MIB

    @property
    def spread_s(self) -> tuple[float, float]:
        """Seconds of the shortest and the longest run."""
        return min(run.seconds for run in self.each), max(run.seconds for run in self.each)

    def ratio_to(self, other: Runs) -> float:
        """Return the ratio of the medians."""
        return self.median_s / other.median_s

    def seconds_per_mb(self, size_bytes: int) -> float:
        """Return the median seconds per 10⁶ bytes of the file."""
        return self.median_s / (size_bytes / MB)


@dataclass(frozen=True)
class Target:
    """An upper bound of a figure."""

    maximum: float

    def judge(self, figure: float) -> str:
        """Return the bound and whether the figure is within it, as a table cell."""
        return f"≤ {self.maximum:g}: {'met' if figure <= self.maximum else 'MISSED'}"


def compared(name: str, runs: Runs, base: Runs, target: Target | None) -> list[str]:
    """Return the cells of a row: time, also relative to the base, peak memory and CPU."""
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
    """Return the growth from ``base`` to ``figure`` in percent."""
    return (figure / base - 1) * 100
