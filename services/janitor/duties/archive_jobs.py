"""Duty: have the importer take jobs that ended long ago out of the ledger.

Only the importer writes, so it does the work, a batch at a time. A round asks until no job is left. While the
importer does not run, or cannot, it is asked again within minutes; after a complete round, not before the
interval is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from services.janitor.duty import Counts, Every

_TRY_EVERY_S: Final = 600.0


@dataclass(frozen=True)
class ArchiveConfig:
    """Which jobs are archived, and how often.

    Args:
        after: how long after its end a job stays in the ledger.
        max_jobs: the maximum number in one request.
        interval_s: seconds from one complete round to the next.
    """

    after: timedelta
    max_jobs: int
    interval_s: float


class Ledger(Protocol):
    """The importer's ledger."""

    async def archive(self, before: datetime, max_jobs: int) -> int | None:
        """Archive jobs that ended before a moment; return how many, or None if the importer does not run.

        Raises:
            Transient: that is not possible now.
        """
        ...


class ArchiveJobs:
    """The duty."""

    name = "archive_jobs"

    def __init__(self, config: ArchiveConfig, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._done_at: datetime | None = None

    @property
    def trigger(self) -> Every:
        """When its rounds start."""
        return Every(min(self._config.interval_s, _TRY_EVERY_S))

    async def run_once(self) -> Counts:
        """Have all jobs archived that are due, if the last complete round is long enough ago.

        Raises:
            Transient: that is not possible now.
        """
        now = self._clock()
        total = 0
        if self._is_due(now):
            while archived := await self._ledger.archive(now - self._config.after, self._config.max_jobs):
                total += archived
            if archived is not None:
                self._done_at = now
        return {"archived": total}

    def _is_due(self, now: datetime) -> bool:
        interval = timedelta(seconds=self._config.interval_s)
        return self._done_at is None or now - self._done_at >= interval
