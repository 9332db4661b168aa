"""The API's view of requests: one request, and pages of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Annotated, Any, Final, Self
from urllib.parse import urlencode
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from gexlake.api.jobs import Priority, Queued, Status
from gexlake.api.priorities.requests import OverrideView, PriorityAccepted, RequestsPage, RequestView
from services.intake.history.commands import Accepted
from services.intake.queue.promises import End, Outcome, submitted_at
from shared.bus.requests import PriorityRequest
from shared.job_states import JobState

PATH: Final = "/api/v1/ingest/priority"


class RequestFilter(BaseModel):
    """Which requests to list."""

    model_config = ConfigDict(extra="forbid")

    level: Priority | None = None
    status: Status | None = None
    symbol: Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)] | None = None
    submitted_from: AwareDatetime | None = Field(None, description="submitted at this moment or later")
    submitted_to: AwareDatetime | None = Field(None, description="submitted before this moment")
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0)

    def allows(self, state: JobState, request: PriorityRequest) -> bool:
        """Return whether a request is to be listed."""
        return (
            self.level in {None, state.job.priority}
            and self.status in {None, state.status}
            and self.symbol in {None, request.market_symbol}
            and (self.submitted_from is None or request.submitted_at >= self.submitted_from)
            and (self.submitted_to is None or request.submitted_at < self.submitted_to)
        )


@dataclass(frozen=True)
class FoundRequests:
    """The requests that fit a filter."""

    page: tuple[JobState, ...]
    """The states of those of one page."""
    total: int


@dataclass(frozen=True)
class Prospect:
    """What a client is told of the end of its job."""

    remaining: timedelta
    """From now to the rows in the lake."""
    warning: str | None
    """If that is after the deadline."""

    @classmethod
    def of(cls, accepted: Accepted, now: datetime) -> Self:
        """Return the prospect of a request that is queued."""
        job, request = accepted.job, accepted.request
        ends_at = max(now, request.submitted_at + timedelta(seconds=request.estimated_s or 0.0))
        is_late = job.deadline is not None and ends_at > job.deadline
        return cls(ends_at - now, _warning(request.priority_level, ends_at) if is_late else None)


def view_accepted(accepted: Accepted, now: datetime) -> PriorityAccepted:
    """Return the answer to a request that is queued; it says when the promise cannot be kept."""
    job, request = accepted.job, accepted.request
    prospect = Prospect.of(accepted, now)
    return PriorityAccepted(
        request_id=request.request_id,
        priority_score=request.priority_score,
        priority_level=request.priority_level,
        decided_by=list(request.decided_by),
        job_id=job.job_id,
        deadline=job.deadline,
        estimated_processing_time=prospect.remaining,
        queue_position=request.queue_position or 1,
        deadline_at_risk=prospect.warning is not None,
        warning=prospect.warning,
    )


def view_queued(accepted: Accepted, now: datetime) -> Queued:
    """Return the answer of ``POST /gex_history_url``."""
    job, request = accepted.job, accepted.request
    prospect = Prospect.of(accepted, now)
    return Queued(
        id=job.job_id,
        url=job.base_url,
        ticker=job.ticker,
        endpoint=job.endpoint,
        trading_day=job.trading_day,
        priority=job.priority,
        generation=job.generation,
        request_id=request.request_id,
        priority_score=request.priority_score,
        deadline=job.deadline,
        estimated_processing_time=prospect.remaining,
        queue_position=request.queue_position,
        warning=prospect.warning,
    )


def _warning(level: Priority, ends_at: datetime) -> str:
    return (
        f"the deadline of the level {level} will probably be missed: the rows are expected at "
        f"{ends_at.isoformat(timespec='seconds')}"
    )


def view_request(
    state: JobState, request: PriorityRequest, end: End | None, expected_at: datetime | None
) -> RequestView:
    """Return the API's view of a request.

    Args:
        state: of its job, as long as it was the request's.
        request: the request.
        end: how and when the request ended, before any replay.
        expected_at: when the job will probably end; None when it has ended.
    """
    job = state.job
    return RequestView(
        request_id=request.request_id,
        status=state.status,
        channel=request.channel,
        priority_level=job.priority,
        priority_score=request.priority_score if job.priority_score is None else job.priority_score,
        decided_by=list(request.decided_by),
        overrides=[OverrideView.model_validate(each) for each in request.overrides],
        submitted_at=request.submitted_at,
        requested_at=request.requested_at,
        started_at=state.started_at,
        completed_at=state.transitions[-1].at if state.is_finished else None,
        deadline=job.deadline,
        deadline_kept=_is_kept(end),
        records_processed=state.records,
        estimated_completion=expected_at,
        error_message=state.error,
        job_id=job.job_id,
        market_symbol=request.market_symbol,
        data_type=request.data_type,
        source_url=request.source_url,
        metadata=request.metadata,
    )


def _is_kept(end: End | None) -> bool | None:
    if end is None or end.deadline is None:
        return None
    return {Outcome.KEPT: True, Outcome.MISSED: False}.get(end.outcome())


def find_requests(states: Iterable[JobState], wanted: RequestFilter) -> FoundRequests:
    """Return the requests of one page, the newest first."""
    fitting = [state for state in states if state.request is not None and wanted.allows(state, state.request)]
    newest = nlargest(wanted.offset + wanted.limit, fitting, key=_age)
    return FoundRequests(tuple(newest[wanted.offset :]), len(fitting))


def view_requests(
    found: FoundRequests, wanted: RequestFilter, view: Callable[[JobState, PriorityRequest], RequestView]
) -> RequestsPage:
    """Return one page of the requests that fit the filter."""
    end = wanted.offset + wanted.limit
    return RequestsPage(
        requests=[view(state, state.request) for state in found.page if state.request is not None],
        total=found.total,
        limit=wanted.limit,
        offset=wanted.offset,
        next=_page(wanted, end) if end < found.total else None,
    )


def _age(state: JobState) -> tuple[datetime, UUID]:
    return submitted_at(state), state.job.job_id


def _page(wanted: RequestFilter, offset: int) -> str:
    query: dict[str, Any] = wanted.model_dump(exclude_none=True, mode="json") | {"offset": offset}
    return f"{PATH}?{urlencode(query)}"
