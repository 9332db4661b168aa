"""What every duty is: a name, an interval and one bounded round; and the jobs that duties read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.job_states import JobState

Counts = Mapping[str, int]
"""What one round did, by log key; all zero when there was nothing to do."""


class Duty(Protocol):
    """One recurring task of the janitor."""

    @property
    def name(self) -> str:
        """Its name in the log."""
        ...

    @property
    def interval_s(self) -> float:
        """Seconds from the start of one round to the start of the next."""
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
