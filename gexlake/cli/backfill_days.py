"""A backfill as the command line sees it: its plan, what became of each day, and how that is found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict

from gexlake.api.jobs import Status
from gexlake.cli.answers import JobAnswer, read_as
from gexlake.cli.errors import RequestRefused, UnexpectedAnswer

_PAGE: Final = 500
_NOT_FOUND: Final = 404


class AsksIntake(Protocol):
    """What can ask intake for jobs."""

    def jobs(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of jobs, the newest request first, as ``GET /jobs`` answers it."""

    def job(self, job_id: str) -> dict[str, Any]:
        """Return one job, as ``GET /jobs/{id}`` answers it."""


class Standing(StrEnum):
    """How intake says that a day stands."""

    PLANNED = "planned"
    QUEUED = "queued"
    UNDER_WAY = "under_way"
    HELD = "held"
    NO_DATA = "no_data"


class Outcome(StrEnum):
    """What became of a day; the columns of the last table."""

    IMPORTED = "imported"
    SKIPPED = "skipped"
    NO_DATA = "no data"
    FAILED = "failed"


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PlannedDay(_Told):
    """One trading day of one ticker and endpoint."""

    ticker: str
    endpoint: str
    trading_day: date
    standing: Standing
    id: str | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """Ticker and endpoint."""
        return self.ticker, self.endpoint


class NamedDay(_Told):
    """A day on which the exchange is closed or closes early."""

    day: date
    why: str


class Plan(_Told):
    """What intake answers."""

    days: tuple[PlannedDay, ...]
    closed: tuple[NamedDay, ...] = ()
    early_closes: tuple[NamedDay, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, answer: dict[str, Any]) -> Plan:
        """Read the answer of ``POST /backfill``.

        Raises:
            UnexpectedAnswer: it is not one.
        """
        return read_as(cls, answer, "a backfill")


@dataclass(frozen=True)
class Ended:
    """What became of a day, and why if that is no matter of course."""

    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Trouble:
    """Why days are not finished, and how many say so."""

    why: str
    days: int


@dataclass(frozen=True)
class Backfilled:
    """A plan, and what became of its days until now."""

    plan: Plan
    ended: Mapping[PlannedDay, Ended] = field(default_factory=dict)
    troubles: Mapping[PlannedDay, str] = field(default_factory=dict)
    """What the last attempt came to, of the days that are not finished and had one in vain."""

    @property
    def is_finished(self) -> bool:
        """Whether every day is."""
        return len(self.ended) == len(self.plan.days)

    @property
    def usual_trouble(self) -> Trouble | None:
        """What most of those days say; None if there are none."""
        return next((Trouble(*told) for told in Counter(self.troubles.values()).most_common(1)), None)

    def count(self, outcome: Outcome, pair: tuple[str, str] | None = None) -> int:
        """Count the days of one outcome, of one ticker and endpoint or of all."""
        return sum(ended.outcome is outcome and pair in {None, day.pair} for day, ended in self.ended.items())


_LEFT_OUT: Final = {
    Standing.HELD: Ended(Outcome.SKIPPED),
    Standing.NO_DATA: Ended(Outcome.NO_DATA, "the vendor has said so before; --force asks again"),
}
_LOST: Final = Ended(Outcome.FAILED, "intake knows no such job any more: ask for the day again")


def how_it_ended(job: JobAnswer) -> Ended | None:
    """Return what became of a job's day; None while it is not finished."""
    match job.state:
        case Status.COMPLETED:
            return Ended(Outcome.IMPORTED)
        case Status.SKIPPED if job.no_data:
            return Ended(Outcome.NO_DATA, job.reason or "")
        case Status.SKIPPED:
            return Ended(Outcome.SKIPPED)
        case Status.FAILED:
            return Ended(Outcome.FAILED, job.error or "no reason was given")
        case _:
            return None


class PlanJobs:
    """The jobs of a plan, to be looked at again and again; a day that is finished is not asked for any more.

    Args:
        plan: whose jobs.
        intake: is asked.
    """

    def __init__(self, plan: Plan, intake: AsksIntake) -> None:
        self._plan = plan
        self._intake = intake
        self._ended = {day: _LEFT_OUT[day.standing] for day in plan.days if day.standing in _LEFT_OUT}

    def look(self) -> Backfilled:
        """Return what became of the days until now.

        Raises:
            CommandFailed: intake does not answer.
        """
        troubles: dict[PlannedDay, str] = {}
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

    def _open(self) -> dict[tuple[str, str], list[PlannedDay]]:
        """Return the days that are not finished, by ticker and endpoint."""
        days: dict[tuple[str, str], list[PlannedDay]] = {}
        for day in self._plan.days:
            if day not in self._ended:
                days.setdefault(day.pair, []).append(day)
        return days

    def _missed(self, job_id: str | None) -> JobAnswer | None:
        """Return a job that no page had: replayed meanwhile, it is on an earlier one now."""
        if job_id is None:
            return None
        try:
            return JobAnswer.read(self._intake.job(job_id))
        except RequestRefused as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def _jobs_of(self, pair: tuple[str, str], wanted: set[str | None]) -> dict[str | None, JobAnswer]:
        """Return the wanted jobs of a ticker and endpoint by id, as far as intake knows them."""
        found: dict[str | None, JobAnswer] = {}
        offset = 0
        while True:
            page = self._intake.jobs(
                {"ticker": pair[0], "endpoint": pair[1], "limit": _PAGE, "offset": offset}
            )
            jobs = page.get("jobs")
            if not isinstance(jobs, list):
                raise UnexpectedAnswer("intake", "no list of jobs")
            found |= {job.id: job for job in map(JobAnswer.read, jobs) if job.id in wanted}
            offset += _PAGE
            if len(found) == len(wanted) or not page.get("next"):
                return found
