"""What every duty is: a name, when it runs, and one bounded round; and the jobs that duties read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Protocol, TypeAlias

from shared.job_states import JobState

Counts = Mapping[str, int]
"""What one round did, by log key; all zero when there was nothing to do."""


@dataclass(frozen=True)
class Every:
    """At an interval.

    Args:
        seconds: from the start of one round to the start of the next.
        at_start: whether the first round is at the janitor's start, or later, once other services are up.
    """

    seconds: float
    at_start: bool = True

    def __str__(self) -> str:
        return f"every {self.seconds:g} s"


@dataclass(frozen=True)
class Daily:
    """At a time of each day, and soon after the janitor's start, because it may have missed the last one.

    Args:
        at: the time (UTC).
    """

    at: time

    def __str__(self) -> str:
        return f"daily at {self.at:%H:%M} UTC"


Trigger: TypeAlias = Every | Daily


class Duty(Protocol):
    """One recurring task of the janitor."""

    @property
    def name(self) -> str:
        """Its name in the log and in the schedule."""
        ...

    @property
    def trigger(self) -> Trigger:
        """When its rounds start."""
        ...

    async def run_once(self) -> Counts:
        """Run one round, bounded by the duty's configuration."""
        ...


class Jobs(Protocol):
    """The jobs that EVENTS holds."""

    async def as_of_now(self) -> Sequence[JobState]:
        """Return the state of every job, with all events that were stored before the call.

        Raises:
            Transient: the state is not known at present.
        """
        ...
