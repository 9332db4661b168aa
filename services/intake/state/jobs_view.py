"""The API's view of jobs: one job, and pages of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gexlake.api.jobs import JobsPage, JobView, ProgressView, Stage, Status, TransitionView
from shared.bus.reports.progress import Progress
from shared.datasets import check_endpoint, check_ticker, is_ticker
from shared.job_states import JobState

_ID_START: Final = "^[0-9A-Fa-f-]{1,36}$"


class JobFilter(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    ticker: Annotated[str, AfterValidator(check_ticker)] | None = None
    endpoint: Annotated[str, AfterValidator(check_endpoint)] | None = None
    id: str | None = Field(None, pattern=_ID_START, description="the id, or the start of it")
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0)

    def allows(self, state: JobState) -> bool:
        """Return whether a job is to be listed."""
        return (
            self.status in {None, state.status}
            and (self.ticker is None or is_ticker(self.ticker, state.job.ticker, state.job.endpoint))
            and self.endpoint in {None, state.job.endpoint}
            and state.job.job_id.hex.startswith((self.id or "").replace("-", "").lower())
        )


def view_job(state: JobState, progress: Progress | None) -> JobView:
    """Return the API's view of a job."""
    job = state.job
    is_staged = state.stage is Stage.IMPORT  # before that, size and checksum are of an older generation
    fetched, expected = _bytes(state, progress)
    return JobView(
        id=job.job_id,
        state=state.status,
        status=state.status,
        ticker=job.ticker,
        endpoint=job.endpoint,
        trading_day=state.trading_day or job.trading_day,
        url=job.base_url,
        priority=job.priority,
        generation=job.generation,
        stage=state.stage,
        attempts=state.attempts,
        failures=state.failures,
        transitions=[TransitionView(state=step.state, at=step.at) for step in state.transitions],
        bytes_fetched=fetched,
        bytes_expected=expected,
        progress=ProgressView.model_validate(progress, from_attributes=True) if progress else None,
        rows=state.records,
        snapshots=state.snapshots,
        strike_rows=state.strike_rows,
        counts=dict(counted) if (counted := state.counted) is not None else None,
        checksum=state.sha256 if is_staged else None,
        replaced_checksum=state.replaced_sha256,
        parquet_path=state.parquet_path,
        parquet_bytes=state.parquet_bytes,
        skipped=state.skipped,
        no_data=state.no_data is not None,
        reason=state.no_data or state.cancel_reason,
        error=state.error,
        error_field=state.error_field,
        dead_letter_seq=state.dead_letter_seq,
        replay_of=state.replay_of,
        created_at=state.created_at,
        requested_at=job.requested_at,
        updated_at=state.updated_at,
    )


def _bytes(state: JobState, progress: Progress | None) -> tuple[int, int | None]:
    if state.stage is Stage.IMPORT:
        return state.size_bytes or 0, state.size_bytes
    if progress is not None and progress.stage is Stage.FETCH:
        return progress.done_bytes, progress.total_bytes
    return 0, None


def list_jobs(
    states: Iterable[JobState], wanted: JobFilter, progress: Callable[[JobState], Progress | None]
) -> JobsPage:
    """Return one page of the jobs that fit the filter."""
    fitting = sorted((state for state in states if wanted.allows(state)), key=_newest_first, reverse=True)
    end = wanted.offset + wanted.limit
    return JobsPage(
        jobs=[view_job(state, progress(state)) for state in fitting[wanted.offset : end]],
        total=len(fitting),
        limit=wanted.limit,
        offset=wanted.offset,
        next=_page(wanted, end) if end < len(fitting) else None,
    )


def _newest_first(state: JobState) -> tuple[datetime, UUID]:
    return state.job.requested_at, state.job.job_id


def _page(wanted: JobFilter, offset: int) -> str:
    query: dict[str, Any] = wanted.model_dump(exclude_none=True, mode="json") | {"offset": offset}
    return f"/jobs?{urlencode(query)}"
