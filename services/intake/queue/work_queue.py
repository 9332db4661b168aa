"""The unfinished jobs in the order of the work, kept up to date by every event.

Each change takes time that grows with the logarithm of the number of jobs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Final
from uuid import UUID

from sortedcontainers import SortedList

from gexlake.api.jobs import Priority, Stage, deadline_after
from shared.bus.messages import Job
from shared.datasets import find_dataset
from shared.job_states import JobState

NEXT: Final = 10
URGENT_FIRST: Final = tuple(Priority)
_Key = tuple[float, UUID]


@dataclass(frozen=True)
class LevelQueue:
    """The unfinished jobs of a level."""

    waiting: int
    """Those that no worker has, before either stage."""
    running: int
    oldest: datetime | None
    """When the oldest request of them was submitted (UTC)."""
    next: tuple[JobState, ...]
    """The first ten of those that wait, in their order."""


@dataclass(frozen=True, slots=True)
class _Entry:
    state: JobState
    due: _Key
    submitted: _Key
    is_without_file: bool
    """Whether it ends in its fetch."""


def due_of(job: Job) -> datetime | None:
    """Return what orders the jobs of a level: their deadline, of LOW the time of the request."""
    if job.priority is Priority.LOW:
        return job.requested_at
    return job.deadline or deadline_after(job.priority, job.requested_at)  # an older version set none


class WorkQueue:
    """The unfinished jobs: of each level by deadline, of LOW by the time of the request."""

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self._waiting: dict[tuple[Stage, Priority], SortedList[_Key]] = {
            (stage, priority): SortedList() for stage in Stage for priority in Priority
        }
        self._without_file: dict[Priority, SortedList[_Key]] = {
            priority: SortedList() for priority in Priority
        }
        """Of those that wait before the fetch."""
        self._submitted: dict[Priority, SortedList[_Key]] = {priority: SortedList() for priority in Priority}
        self._running: dict[Stage, dict[UUID, JobState]] = {stage: {} for stage in Stage}

    def changed(self, _before: JobState | None, after: JobState) -> None:
        """Take in a job's state after an event."""
        self.forget(after)
        if not after.is_finished:
            self._add(after)

    def forget(self, state: JobState) -> None:
        """Remove a job."""
        job_id = state.job.job_id
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        known = entry.state
        self._submitted[known.job.priority].remove(entry.submitted)
        if self._running[known.stage].pop(job_id, None) is None:
            self._waiting[known.stage, known.job.priority].remove(entry.due)
            if entry.is_without_file:
                self._without_file[known.job.priority].remove(entry.due)

    @property
    def depth(self) -> int:
        """How many jobs wait or run."""
        return len(self._entries)

    def position(self, priority: Priority, deadline: datetime | None) -> int:
        """Return the place, from 1, at which a new job would be taken by a worker.

        All jobs count that wait before a stage and are more urgent, or of the same level and due earlier. The
        turns of LOW among them do not count, nor does a level that a near deadline raises.
        """
        return 1 + sum(self.ahead(stage, priority, deadline) for stage in Stage)

    def ahead(self, stage: Stage, priority: Priority, deadline: datetime | None) -> int:
        """Return how many jobs that wait before a stage are taken before a new one."""
        return _before([self._waiting[stage, level] for level in _down_to(priority)], deadline)

    def ahead_of_import(self, priority: Priority, deadline: datetime | None) -> int:
        """Return how many jobs that wait before either stage are imported before a new one."""
        without = _before([self._without_file[level] for level in _down_to(priority)], deadline)
        return sum(self.ahead(stage, priority, deadline) for stage in Stage) - without

    def waiting(self, stage: Stage) -> int:
        """Return how many jobs wait before a stage."""
        return sum(len(self._waiting[stage, priority]) for priority in Priority)

    def has_waiting(self, priority: Priority) -> bool:
        """Return whether a job of a level waits before either stage."""
        return any(self._waiting[stage, priority] for stage in Stage)

    def running(self, stage: Stage) -> tuple[JobState, ...]:
        """Return the jobs that workers of a stage have."""
        return tuple(self._running[stage].values())

    def level(self, priority: Priority) -> LevelQueue:
        """Return what there is of a level."""
        queues = [self._waiting[stage, priority] for stage in Stage]
        submitted = self._submitted[priority]
        first = islice(merge(*(islice(queue, NEXT) for queue in queues)), NEXT)
        waiting = sum(map(len, queues))
        return LevelQueue(
            waiting=waiting,
            running=len(submitted) - waiting,
            oldest=_submitted_at(self._entries[submitted[0][1]].state) if submitted else None,
            next=tuple(self._entries[job_id].state for _, job_id in first),
        )

    def _add(self, state: JobState) -> None:
        job = state.job
        due = (_seconds(due_of(job)), job.job_id)
        is_without_file = state.stage is Stage.FETCH and _is_without_file(job)
        entry = _Entry(state, due, (_seconds(_submitted_at(state)), job.job_id), is_without_file)
        self._entries[job.job_id] = entry
        self._submitted[job.priority].add(entry.submitted)
        if state.is_running:
            self._running[state.stage][job.job_id] = state
        else:
            self._waiting[state.stage, job.priority].add(entry.due)
            if is_without_file:
                self._without_file[job.priority].add(entry.due)


def _is_without_file(job: Job) -> bool:
    dataset = find_dataset(job.endpoint)
    return dataset is not None and not dataset.has_file(job)


def _before(levels: list[SortedList[_Key]], deadline: datetime | None) -> int:
    """Count the jobs of some levels; of the last one, those that are due before a deadline."""
    *above, own = levels
    return sum(map(len, above)) + own.bisect_left((_seconds(deadline), _FIRST))


_FIRST: Final = UUID(int=0)


def _down_to(priority: Priority) -> tuple[Priority, ...]:
    return URGENT_FIRST[: URGENT_FIRST.index(priority) + 1]


def _submitted_at(state: JobState) -> datetime:
    return state.request.submitted_at if state.request is not None else state.job.requested_at


def _seconds(moment: datetime | None) -> float:
    return math.inf if moment is None else moment.timestamp()
