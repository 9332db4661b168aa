"""The jobs for minute bars in EVENTS: which days they ask for, and which of these the vendor refuses."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from gexlake.api.jobs import Status
from shared.job_states import JobState
from shared.massive.resources import BARS_ENDPOINT, MinuteBars, minute_bars_of


class Refusal(NamedTuple):
    """Days of a symbol that the vendor refuses."""

    symbol: str
    first: date
    last: date
    """Included."""
    at: datetime
    reason: str


class BarJobs:
    """What is known of the jobs that fetch bars as traded; followed in EVENTS, so nothing of it is lost."""

    def __init__(self) -> None:
        self._asked: dict[UUID, MinuteBars] = {}
        self._refusals: dict[UUID, Refusal] = {}

    @property
    def refusals(self) -> list[Refusal]:
        """The refused jobs; one that was queued again is none until it is refused again."""
        return list(self._refusals.values())

    @property
    def first_days(self) -> dict[str, date]:
        """The first day that jobs ask for, by symbol."""
        days: dict[str, date] = {}
        for bars in list(self._asked.values()):  # read by another thread
            days[bars.symbol] = min(days.get(bars.symbol, bars.first), bars.first)
        return days

    def take(self, state: JobState) -> bool:
        """Take in the state of a job, and return whether it is a new refusal."""
        job_id = state.job.job_id
        bars = minute_bars_of(state.job.base_url) if state.job.endpoint == BARS_ENDPOINT else None
        if bars is None or bars.adjusted:
            return False
        if state.status is Status.CANCELLED:
            self.forget(state)
            return False
        self._asked[job_id] = bars
        if state.status is not Status.FAILED or not state.is_refused:
            self._refusals.pop(job_id, None)
            return False
        refusal = Refusal(bars.symbol, bars.first, bars.last, state.updated_at, state.error or "refused")
        is_new = self._refusals.get(job_id) != refusal
        self._refusals[job_id] = refusal
        return is_new

    def forget(self, state: JobState) -> None:
        """Forget a job that EVENTS has dropped."""
        self._asked.pop(state.job.job_id, None)
        self._refusals.pop(state.job.job_id, None)
