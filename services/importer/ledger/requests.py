"""The rows of requests, the table ``priority_requests``, and how they follow the states of jobs."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb

from gexlake.api.jobs import Priority, Status
from services.importer.ledger.row_table import RowTable
from shared.bus.requests import PriorityRequest
from shared.job_states import RANK, JobState


@dataclass(frozen=True)
class RequestState:
    """A request, as far as EVENTS knows what became of it."""

    job: JobState
    """The last state of its job, as long as it was the request's."""
    first_end: JobState | None = None
    """The state in which the job first ended: a job that is done again breaks no promise."""

    @property
    def ended(self) -> JobState | None:
        """The state in which the job first ended; None if it has not."""
        return self.first_end or (self.job if self.job.is_finished else None)

    def followed_by(self, job: JobState) -> RequestState:
        """Return the request after another state of its job."""
        if self.first_end is None and self.job.is_finished and job.job.generation != self.job.job.generation:
            return RequestState(job, self.job)
        return replace(self, job=job)


@dataclass(frozen=True)
class RequestRow:
    """One row of ``priority_requests``, its fields named and ordered as the table's columns."""

    request_id: str
    job_id: str
    channel: str
    source_url: str
    data_type: str
    market_symbol: str
    requested_at: datetime
    submitted_at: datetime
    priority_score: float
    priority_level: Priority
    decided_by: list[str]
    overrides: str
    """A JSON array."""
    deadline: datetime | None
    estimated_processing_time: timedelta | None
    queue_position: int | None
    metadata: str
    """A JSON object."""
    generation: int
    """The newest generation of the job that belongs to the request."""
    status: Status
    """Of that generation."""
    completed_at: datetime | None
    """When the job first ended."""
    deadline_kept: bool | None
    """Of its first end; None without a deadline, until the job ends, and if it was cancelled."""
    updated_at: datetime


def _load(*values: Any) -> RequestRow:
    row = RequestRow(*values)
    return replace(row, status=Status(row.status), priority_level=Priority(row.priority_level))


REQUESTS: Final = RowTable("priority_requests", "request_id", RequestRow, _load, time="submitted_at")


def record_requests(connection: duckdb.DuckDBPyConnection, states: Collection[RequestState]) -> int:
    """Bring the rows of some requests up to their states; call it within a transaction.

    Returns:
        How many changed.
    """
    if not states:
        return 0
    by_id = {str(state.job.job.request_id): state for state in states}
    times = [state.job.request.submitted_at for state in states if state.job.request is not None]
    since = min(times) if len(times) == len(states) else None
    rows = REQUESTS.read(connection, by_id, since)
    updated = [request_row(rows.get(request_id), state) for request_id, state in by_id.items()]
    changed = [row for row in updated if row is not None]
    REQUESTS.write(connection, changed, held=rows, since=since)
    return len(changed)


def request_row(row: RequestRow | None, state: RequestState) -> RequestRow | None:
    """Return the row of a request after its state; None if nothing changes.

    Args:
        row: the row so far, if there is one.
        state: of the request. If EVENTS has dropped the event with the request itself, only a row that is
            there follows it.
    """
    if row is not None and _is_older(state.job, row):
        return None
    outcome = _outcome(state, row)
    if state.job.request is not None:
        updated = RequestRow(**_values(state.job.request), **outcome)
    elif row is not None:
        updated = replace(row, **outcome)
    else:
        return None
    return None if updated == row else updated


def _is_older(job: JobState, row: RequestRow) -> bool:
    return (job.job.generation, RANK[job.status]) < (row.generation, RANK[row.status])


def _values(request: PriorityRequest) -> dict[str, Any]:
    estimated_s = request.estimated_s
    return {
        "request_id": str(request.request_id),
        "channel": str(request.channel),
        "source_url": request.source_url,
        "data_type": str(request.data_type),
        "market_symbol": request.market_symbol,
        "requested_at": request.requested_at,
        "submitted_at": request.submitted_at,
        "priority_score": request.priority_score,
        "priority_level": request.priority_level,
        "decided_by": list(request.decided_by),
        "overrides": json.dumps([override.model_dump(mode="json") for override in request.overrides]),
        "deadline": request.deadline,
        "estimated_processing_time": None if estimated_s is None else timedelta(seconds=estimated_s),
        "queue_position": request.queue_position,
        "metadata": json.dumps(request.metadata),
    }


def _outcome(state: RequestState, row: RequestRow | None) -> dict[str, Any]:
    job = state.job
    return {
        "job_id": str(job.job.job_id),
        "generation": job.job.generation,
        "status": job.status,
        **_end(state.ended, row),
        "updated_at": job.updated_at,
    }


def _end(ended: JobState | None, row: RequestRow | None) -> dict[str, Any]:
    at = ended.updated_at if ended is not None else None
    is_first = row is not None and row.completed_at is not None and (at is None or row.completed_at <= at)
    if row is not None and is_first and not _is_mended(ended, row):
        return {"completed_at": row.completed_at, "deadline_kept": row.deadline_kept}
    return {"completed_at": at, "deadline_kept": None if ended is None else _is_kept(ended)}


def _is_mended(ended: JobState | None, row: RequestRow) -> bool:
    """Return whether the generation that the row has as the first end, a failure, was completed after all."""
    has_failed = row.status is Status.FAILED and row.completed_at == row.updated_at
    return ended is not None and has_failed and ended.job.generation == row.generation


def _is_kept(ended: JobState) -> bool | None:
    deadline = ended.job.deadline
    if deadline is None or ended.status is Status.CANCELLED:
        return None
    return ended.status is not Status.FAILED and ended.updated_at <= deadline
