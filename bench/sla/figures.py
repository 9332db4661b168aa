"""What a flood shows: waits, turns, estimates and throughput. Values in, figures out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from bench.sla.answers import Accepted
from gexlake.api.jobs import FINISHED, PROMISES, JobView, Priority, Stage, Status

TURNS: Final = {Stage.IMPORT: 10, Stage.FETCH: 13}
"""Of so many turns in a row, LOW work gets at least one.

Imports have one slot; three fetches may begin at the same time, in any order.
"""


@dataclass(frozen=True)
class Ended:
    """A request and its end.

    Args:
        priority: of the request, as the workload has it.
        wait_s: from the request to the rows in the lake.
        estimate_s: what the answer said of it.
    """

    priority: Priority
    wait_s: float
    estimate_s: float

    @property
    def error(self) -> float:
        """The distance of the estimate, as a share of the wait."""
        return abs(self.estimate_s - self.wait_s) / max(self.wait_s, 0.001)

    @property
    def was_foretold(self) -> bool:
        """Whether the estimate was after the deadline."""
        return self._is_late(self.estimate_s)

    @property
    def is_missed(self) -> bool:
        """Whether it ended after its deadline."""
        return self._is_late(self.wait_s)

    def _is_late(self, seconds: float) -> bool:
        promise = PROMISES.get(self.priority)
        return promise is not None and seconds > promise.total_seconds()


def ended(accepted: Iterable[Accepted], jobs: Iterable[JobView]) -> list[Ended]:
    """Return what became of the requests."""
    by_id = {job.id: job for job in jobs}
    return [
        Ended(
            each.requested.priority,
            (end_of(by_id[each.job_id]) - by_id[each.job_id].requested_at).total_seconds(),
            each.estimate_s,
        )
        for each in accepted
    ]


def end_of(job: JobView) -> datetime:
    """Return when a job ended."""
    return next(step.at for step in job.transitions if step.state in FINISHED)


def jobs_per_s(began: datetime, accepted: Sequence[Accepted], jobs: Iterable[JobView]) -> float:
    """Return how many jobs were done a second, until all that were requested had ended."""
    requested = {each.job_id for each in accepted}
    last = max(end_of(job) for job in jobs if job.id in requested)
    return len(requested) / (last - began).total_seconds()


def median_error(requests: Sequence[Ended]) -> float:
    """Return the median distance of the estimates, as a share of the waits."""
    return median(each.error for each in requests)


def fewest_low_turns(jobs: Iterable[JobView], stage: Stage) -> int | None:
    """Return how many turns in a row LOW work got, of so many as count, at the worst; None without as many.

    Turns count while LOW work waited. Those of CRITICAL work in the fetch stage do not, because it has a slot
    that LOW work may not take.
    """
    waiting, turns = 0, list[bool]()
    for _, change, is_low in sorted(_changes(jobs, stage)):
        if change <= 0 and (waiting or is_low):
            turns.append(is_low)
        waiting += change
    length = TURNS[stage]
    windows = [sum(turns[first : first + length]) for first in range(len(turns) - length + 1)]
    return min(windows, default=None)


def _changes(jobs: Iterable[JobView], stage: Stage) -> Iterator[tuple[datetime, int, bool]]:
    """Yield when LOW work came (1), and when it (-1) and other work (0) had its turn.

    One slot imports, so imports end in the order of their turns.
    """
    for job in jobs:
        turn = _at(job, Status.STARTED) if stage is Stage.FETCH else end_of(job)
        if job.priority is Priority.LOW:
            yield job.requested_at if stage is Stage.FETCH else _at(job, Status.STAGED), 1, True
            yield turn, -1, True
        elif job.priority is not Priority.CRITICAL or stage is Stage.IMPORT:
            yield turn, 0, False


def _at(job: JobView, state: Status) -> datetime:
    return next(step.at for step in job.transitions if step.state is state)
