"""How the priority of a request changes: by a client's choice, and when another request joins it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from gexlake.api.jobs import Priority, deadline_after
from shared.bus.messages import Job
from shared.bus.requests import Override, PriorityRequest

MAX_OVERRIDES: Final = 100
"""How many a request keeps, the newest: it travels in messages, which are up to 1 MB."""
_URGENCY: Final = {priority: place for place, priority in enumerate(Priority)}


def is_more_urgent(one: Priority, other: Priority) -> bool:
    """Return whether a level goes before another."""
    return _URGENCY[one] < _URGENCY[other]


def overridden(request: PriorityRequest, override: Override) -> PriorityRequest:
    """Return a request with the priority that a client chose."""
    overrides = (*request.overrides, override)[-MAX_OVERRIDES:]
    return _moved(request, override.priority_level, override.priority_score, override.at, overrides=overrides)


def joined(current: PriorityRequest, asked: PriorityRequest) -> PriorityRequest:
    """Return the request of an unfinished job once its file is asked for again.

    A client's choice counts. The rules raise the level, unless a client has chosen it.
    """
    if asked.overrides:
        override = asked.overrides[-1]
        return current if override.priority_level is current.priority_level else overridden(current, override)
    if current.overrides or not is_more_urgent(asked.priority_level, current.priority_level):
        return current
    return _moved(
        current, asked.priority_level, asked.priority_score, asked.submitted_at, decided_by=asked.decided_by
    )


def as_of(job: Job, request: PriorityRequest | None) -> PriorityRequest | None:
    """Return a request with the priority of a generation of its job; None if it is not the job's."""
    if request is None or request.request_id != job.request_id or job.priority_score is None:
        return None
    return _changed(request, job.priority, job.priority_score, job.deadline)


def _moved(
    request: PriorityRequest, level: Priority, score: float, at: datetime, **changes: Any
) -> PriorityRequest:
    """Return a request of another level or score; its deadline is later only if its level is less urgent."""
    deadline = deadline_after(level, at)
    if request.deadline and deadline and not is_more_urgent(request.priority_level, level):
        deadline = min(deadline, request.deadline)
    return _changed(request, level, score, deadline, **changes)


def _changed(
    request: PriorityRequest, level: Priority, score: float, deadline: datetime | None, **changes: Any
) -> PriorityRequest:
    update = {"priority_level": level, "priority_score": score, "deadline": deadline, **changes}
    return request.model_copy(update=update)
