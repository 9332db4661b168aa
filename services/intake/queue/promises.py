"""What became of requests and their promises."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Final, Self
from uuid import UUID

from gexlake.api.jobs import PROMISES, Priority, Status
from gexlake.api.priorities.queue import Sla, SlaLevel
from services.intake.errors import Unprocessable
from shared.job_states import JobState

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST: Final = timedelta(days=30)
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_DONE: Final = frozenset({Status.COMPLETED, Status.SKIPPED})


class Outcome(StrEnum):
    """What became of a request."""

    KEPT = "kept"
    MISSED = "missed"
    OPEN = "open"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class End:
    """How and when a request ended for the first time."""

    status: Status
    at: datetime
    level: Priority
    deadline: datetime | None

    @classmethod
    def of(cls, state: JobState) -> Self | None:
        """Return the end of a request; None if it has not ended."""
        if not state.is_finished:
            return None
        return cls(state.status, state.transitions[-1].at, state.job.priority, state.job.deadline)

    def outcome(self) -> Outcome:
        """Return what the end means for the promise."""
        if self.status is Status.CANCELLED:
            return Outcome.CANCELLED
        is_in_time = self.deadline is None or self.at <= self.deadline
        return Outcome.KEPT if is_in_time and self.status in _DONE else Outcome.MISSED


def submitted_at(state: JobState) -> datetime:
    """Return when the request of a job was submitted; of an older version's job, when it was requested."""
    return state.request.submitted_at if state.request is not None else state.job.requested_at


class Promises:
    """Remembers the first end of requests whose job was done again, which breaks no promise."""

    def __init__(self) -> None:
        self._first: dict[UUID, dict[UUID, End]] = {}

    def changed(self, before: JobState | None, after: JobState) -> None:
        """Take in a job's state before and after an event."""
        request_id = after.job.request_id
        if before is None or request_id is None or before.job.request_id != request_id:
            return
        if (ended := End.of(before)) is not None and before.job.generation != after.job.generation:
            self._first.setdefault(after.job.job_id, {}).setdefault(request_id, ended)

    def forget(self, state: JobState) -> None:
        """Forget the requests of a job."""
        self._first.pop(state.job.job_id, None)

    def end(self, state: JobState) -> End | None:
        """Return the first end of the request of a job; None if it has not ended."""
        return self._earlier(state) or End.of(state)

    def has_just_ended(self, before: JobState | None, after: JobState) -> bool:
        """Return whether a request ended with a change of its job, for the first time."""
        was_finished = (
            before is not None and before.is_finished and before.job.request_id == after.job.request_id
        )
        return after.is_finished and not was_finished and self._earlier(after) is None

    def _earlier(self, state: JobState) -> End | None:
        if state.job.request_id is None:
            return None
        return self._first.get(state.job.job_id, {}).get(state.job.request_id)


def window_of(text: str) -> timedelta:
    """Return a window of time: ``24h``.

    Raises:
        Unprocessable: it is none, or not between a minute and 30 days.
    """
    match = _WINDOW.fullmatch(text)
    window = int(match[1]) * _UNITS[match[2]] if match else timedelta(0)
    if not timedelta(0) < window <= _LONGEST:
        raise Unprocessable(
            "window", "window", "window: send a number of m, h or d from 1m to 30d, such as 24h"
        )
    return window


def view_sla(states: Iterable[JobState], promises: Promises, window: str, now: datetime) -> Sla:
    """Return what became of the requests that were submitted in a window.

    Raises:
        Unprocessable: the window is none.
    """
    since = now - window_of(window)
    found = {level: _Level(level) for level in Priority}
    for state in states:
        if submitted_at(state) < since:
            continue
        end = promises.end(state)
        found[end.level if end else state.job.priority].add(state, end, now)
    return Sla(window=window, since=since, until=now, levels=[level.view() for level in found.values()])


class _Level:
    def __init__(self, level: Priority) -> None:
        self._level = level
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._foretold = 0
        self._seconds: list[float] = []

    def add(self, state: JobState, end: End | None, now: datetime) -> None:
        deadline = end.deadline if end else state.job.deadline
        if end is not None:
            outcome = end.outcome()
        else:
            outcome = Outcome.MISSED if deadline is not None and now > deadline else Outcome.OPEN
        self._outcomes[outcome] += 1
        if end is not None and end.status in _DONE:
            self._seconds.append(max(0.0, (end.at - submitted_at(state)).total_seconds()))
        if outcome is Outcome.MISSED and _is_foretold(state, deadline):
            self._foretold += 1

    def view(self) -> SlaLevel:
        promise = PROMISES.get(self._level)
        seconds, outcomes = sorted(self._seconds), self._outcomes
        return SlaLevel(
            level=self._level,
            promise_seconds=promise.total_seconds() if promise else None,
            count=sum(outcomes.values()),
            kept=outcomes[Outcome.KEPT] if promise else None,
            missed=outcomes[Outcome.MISSED] if promise else None,
            missed_foretold=self._foretold if promise else None,
            open=outcomes[Outcome.OPEN],
            cancelled=outcomes[Outcome.CANCELLED],
            p50_seconds=_percentile(seconds, 0.5),
            p95_seconds=_percentile(seconds, 0.95),
            max_seconds=_percentile(seconds, 1),
        )


def _is_foretold(state: JobState, deadline: datetime | None) -> bool:
    request = state.request
    if request is None or request.estimated_s is None or deadline is None:
        return False
    return request.submitted_at + timedelta(seconds=request.estimated_s) > deadline


def _percentile(ordered: list[float], share: float) -> float | None:
    """Return the nearest rank: the smallest value that at least the share does not exceed."""
    return round(ordered[ceil(share * len(ordered)) - 1], 3) if ordered else None
