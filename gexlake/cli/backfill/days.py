"""A backfill as the command line sees it: its plan, what became of each day, and how that is found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from gexlake.api.backfill import BackfillView, DayView, Standing
from gexlake.api.jobs import JobsPage, JobView, Status
from gexlake.cli.answers import read_as, read_job
from gexlake.cli.errors import RequestRefused

_PAGE: Final = 500
_NOT_FOUND: Final = 404


class JobsApi(Protocol):
    """What can ask intake for jobs."""

    def jobs(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of jobs, the newest request first, as ``GET /jobs`` answers it."""

    def job(self, job_id: str) -> dict[str, Any]:
        """Return one job, as ``GET /jobs/{id}`` answers it."""


class Outcome(StrEnum):
    """What became of a day; the columns of the last table."""

    IMPORTED = "imported"
    SKIPPED = "skipped"
    NO_DATA = "no data"
    FAILED = "failed"
    CANCELLED = "cancelled"


Pair = tuple[str, str]
"""A ticker and an endpoint."""


def pair_of(day: DayView) -> Pair:
    """Return the ticker and endpoint of a planned day."""
    return day.ticker, day.endpoint


def read_plan(answer: Any) -> BackfillView:
    """Read the answer of ``POST /backfill``.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    return read_as(BackfillView, answer, "a backfill")


@dataclass(frozen=True)
class Ended:
    """The outcome of a day, with the reason unless it is the normal one."""

    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Trouble:
    """An error of unfinished days, and how many days have it."""

    why: str
    days: int


@dataclass(frozen=True)
class Backfilled:
    """A plan, and the outcomes of its days so far."""

    plan: BackfillView
    ended: Mapping[DayView, Ended] = field(default_factory=dict)
    troubles: Mapping[DayView, str] = field(default_factory=dict)
    """The last error of each unfinished day that has had a failed attempt."""

    @property
    def is_finished(self) -> bool:
        """Whether every day is."""
        return len(self.ended) == len(self.plan.days)

    @property
    def usual_trouble(self) -> Trouble | None:
        """The most common error; None if there is none."""
        return next((Trouble(*common) for common in Counter(self.troubles.values()).most_common(1)), None)

    def count(self, outcome: Outcome, pair: Pair | None = None) -> int:
        """Count the days of one outcome, of one ticker and endpoint or of all."""
        return sum(
            ended.outcome is outcome and pair in {None, pair_of(day)} for day, ended in self.ended.items()
        )


_LEFT_OUT: Final = {
    Standing.HELD: Ended(Outcome.SKIPPED),
    Standing.NO_DATA: Ended(
        Outcome.NO_DATA, "the vendor had none when it was last asked; --force asks again"
    ),
}
_LOST: Final = Ended(Outcome.FAILED, "the job no longer exists: request the day again")


def how_it_ended(job: JobView) -> Ended | None:
    """Return what became of a job's day; None while it is not finished."""
    match job.state:
        case Status.COMPLETED if not job.skipped:
            return Ended(Outcome.IMPORTED)
        case Status.SKIPPED if job.no_data:
            return Ended(Outcome.NO_DATA, job.reason or "")
        case Status.COMPLETED | Status.SKIPPED:
            return Ended(Outcome.SKIPPED)
        case Status.FAILED:
            return Ended(Outcome.FAILED, job.error or "no reason was given")
        case Status.CANCELLED:
            return Ended(Outcome.CANCELLED, job.reason or "no reason was given")
        case _:
            return None


class PlanJobs:
    """The jobs of a plan, to be looked at again and again; a day that is finished is not asked for any more.

    Args:
        plan: whose jobs.
        intake: is asked.
    """

    def __init__(self, plan: BackfillView, intake: JobsApi) -> None:
        self._plan = plan
        self._intake = intake
        self._ended = {day: _LEFT_OUT[day.standing] for day in plan.days if day.standing in _LEFT_OUT}

    def look(self) -> Backfilled:
        """Return what became of the days until now.

        Raises:
            CommandFailed: intake does not answer.
        """
        troubles: dict[DayView, str] = {}
        for pair, days in self._open().items():
            jobs = self._jobs_of(pair, {day.id for day in days})
            for day in days:
                job = jobs.get(day.id) or self._missed(day.id)
                ended = how_it_ended(job) if job else _LOST
                if ended is not None:
                    self._ended[day] = ended
                elif job is not None and job.error:
                    troubles[day] = job.error
        return Backfilled(self._plan, dict(self._ended), troubles)

    def _open(self) -> dict[Pair, list[DayView]]:
        """Return the days that are not finished, by ticker and endpoint."""
        days: dict[Pair, list[DayView]] = {}
        for day in self._plan.days:
            if day not in self._ended:
                days.setdefault(pair_of(day), []).append(day)
        return days

    def _missed(self, job_id: UUID | None) -> JobView | None:
        """Return a job that no page had: if it was replayed in the meantime, it is on an earlier page now."""
        if job_id is None:
            return None
        try:
            return read_job(self._intake.job(str(job_id)))
        except RequestRefused as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def _jobs_of(self, pair: Pair, wanted: set[UUID | None]) -> dict[UUID | None, JobView]:
        """Return the wanted jobs of a ticker and endpoint by id, as far as intake knows them."""
        found: dict[UUID | None, JobView] = {}
        offset = 0
        while True:
            wanted_page = {"ticker": pair[0], "endpoint": pair[1], "limit": _PAGE, "offset": offset}
            page = read_as(JobsPage, self._intake.jobs(wanted_page), "a list of jobs")
            found |= {job.id: job for job in page.jobs if job.id in wanted}
            offset += _PAGE
            if len(found) == len(wanted) or page.next is None:
                return found
