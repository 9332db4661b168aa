"""What every duty is: a name, an interval, and one bounded round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Counts = Mapping[str, int]
"""What a round has done, by what it is called in the log; all zero when there was nothing to do."""


class Duty(Protocol):
    """One thing that the janitor sees to."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    @property
    def interval_s(self) -> float:
        """How long after the begin of a round the next one begins."""
        ...

    async def run_once(self) -> Counts:
        """Do one round, bounded by the duty's configuration."""
        ...
