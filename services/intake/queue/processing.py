"""The API's view of jobs as the data model of priorities describes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from heapq import nlargest
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gexlake.api.jobs import Priority, Stage, Status
from gexlake.api.priorities.processing_jobs import MAX_RETRIES, JobStatus, ProcessingJob, ProcessingJobsPage
from services.intake.queue.view import market_symbol
from shared.datasets import check_ticker, is_ticker
from shared.job_states import JobState

_ENDS: Final = {
    Status.COMPLETED: JobStatus.COMPLETED,
    Status.SKIPPED: JobStatus.COMPLETED,
    Status.FAILED: JobStatus.FAILED,
    Status.CANCELLED: JobStatus.CANCELLED,
}
PATH: Final = "/api/v1/processing-jobs"


class ProcessingJobFilter(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    status: JobStatus | None = None
    level: Priority | None = None
    symbol: str | None = Field(
        None, min_length=1, max_length=32, description="the market symbol or the ticker"
    )
    ticker: Annotated[str, AfterValidator(check_ticker)] | None = None
    request_id: UUID | None = Field(
        None, description="the job of a request, as it was while it was the request's"
    )
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0)

    def allows(self, state: JobState) -> bool:
        """Return whether a job is to be listed."""
        return (
            self.status in {None, status_of(state)}
            and self.level in {None, state.job.priority}
            and (self.ticker is None or is_ticker(self.ticker, state.job.ticker, state.job.endpoint))
            and (self.symbol is None or self._is_symbol_of(self.symbol, state))
        )

    @staticmethod
    def _is_symbol_of(text: str, state: JobState) -> bool:
        names = {market_symbol(state), state.job.ticker}
        return text.upper() in names or text in names


def status_of(state: JobState) -> JobStatus:
    """Return the status of a job; one whose attempt failed is queued again until the next attempt."""
    if state.is_finished:
        return _ENDS[state.status]
    if state.is_running:
        return JobStatus.PROCESSING
    has_failed = state.failures > 0 or state.waits > 0
    return JobStatus.QUEUED if has_failed or state.started_at is None else JobStatus.PROCESSING


def view_processing_job(state: JobState) -> ProcessingJob:
    """Return the view of a job; times of different machines' clocks are put in order."""
    job = state.job
    requested_at = state.request.requested_at if state.request is not None else job.requested_at
    started_at = max(state.started_at, requested_at) if state.started_at is not None else None
    completed_at = None
    if state.is_finished:
        completed_at = max(state.transitions[-1].at, started_at or requested_at)
    return ProcessingJob(
        job_id=job.job_id,
        request_id=job.request_id,
        status=status_of(state),
        priority_level=job.priority,
        market_symbol=market_symbol(state),
        ticker=job.ticker,
        requested_at=requested_at,
        started_at=started_at,
        completed_at=completed_at,
        processing_duration=completed_at - started_at if completed_at and started_at else None,
        records_processed=state.records,
        counts=dict(counted) if (counted := state.counted) is not None else None,
        data_size_bytes=state.size_bytes if state.stage is Stage.IMPORT else None,
        error_message=state.error,
        retry_count=_retries(state),
    )


def list_processing_jobs(states: Iterable[JobState], wanted: ProcessingJobFilter) -> ProcessingJobsPage:
    """Return one page of the jobs that fit the filter, the newest request first."""
    fitting = [state for state in states if wanted.allows(state)]
    end = wanted.offset + wanted.limit
    newest = nlargest(end, fitting, key=_newest_first)
    return ProcessingJobsPage(
        jobs=[view_processing_job(state) for state in newest[wanted.offset :]],
        total_count=len(fitting),
        limit=wanted.limit,
        offset=wanted.offset,
        next=_page(wanted, end) if end < len(fitting) else None,
    )


def _retries(state: JobState) -> int:
    """Return how many attempts followed a failed one; with more attempts allowed, three are shown."""
    is_final = state.status is Status.FAILED
    return min(MAX_RETRIES, max(0, state.failures - is_final))


def _newest_first(state: JobState) -> tuple[datetime, UUID]:
    return state.job.requested_at, state.job.job_id


def _page(wanted: ProcessingJobFilter, offset: int) -> str:
    return f"{PATH}?{urlencode(wanted.model_dump(exclude_none=True, mode='json') | {'offset': offset})}"
