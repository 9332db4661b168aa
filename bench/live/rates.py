"""Search the highest rate at which the latency stays below its limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.live.load import Loaded

LIMIT_MS: Final = 100.0
"""Of p95."""
_FIRST: Final = 200.0
_MAX: Final = 6400.0
_MIN_ACHIEVED: Final = 0.95
"""Of what the clients would send; a system that takes less does not hold the rate."""
_NARROWING: Final = 3
"""The interval is halved so often: to an eighth of the last rate that was held."""
MIN_RATE: Final = _FIRST / 2**_NARROWING
"""The lowest rate that is tried."""
_ATTEMPTS: Final = 2
"""A step that fails is repeated: other work on the machine may have been the cause."""


@dataclass(frozen=True)
class Step:
    """One rate that was tried."""

    rate: float
    loaded: Loaded

    @property
    def is_held(self) -> bool:
        """Whether all requests were answered, at that rate, with p95 below the limit."""
        total = self.loaded.total
        return total.failures == 0 and total.p95 < LIMIT_MS and self.loaded.rate >= _MIN_ACHIEVED * self.rate


def highest(run: Callable[[float], Loaded], say: Callable[[str], object]) -> list[Step]:
    """Double the rate until it is not held, then narrow it down; return all steps.

    Args:
        run: runs the load with a rate.
        say: called with the progress.
    """
    steps: list[Step] = []

    def is_held(rate: float) -> bool:
        for _ in range(_ATTEMPTS):
            step = Step(rate, run(rate))
            steps.append(step)
            total = step.loaded.total
            say(
                f"{rate:.0f}/s: {step.loaded.rate:.0f}/s with p95 {total.p95:.0f} ms, {total.failures} errors"
            )
            if step.is_held:
                return True
        return False

    held, rate = 0.0, _FIRST
    while is_held(rate):
        held, rate = rate, rate * 2
        if rate > _MAX:
            return steps
    missed = rate
    for _ in range(_NARROWING):
        rate = (held + missed) / 2
        held, missed = (rate, missed) if is_held(rate) else (held, rate)
    return steps


def best(steps: list[Step]) -> Step | None:
    """Return the step with the highest rate that was held."""
    return max((step for step in steps if step.is_held), key=lambda step: step.rate, default=None)
