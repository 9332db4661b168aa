"""Jobs as the data model describes them: statuses, times, retries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gexlake.api.jobs import Priority, Stage
from gexlake.api.priorities.processing_jobs import JobStatus
from services.intake.queue.processing import (
    ProcessingJobFilter,
    list_processing_jobs,
    status_of,
    view_processing_job,
)
from shared.bus.messages import Event, JobCancelled
from shared.job_states import JobState, JobStates
from tests.support.intake.events import failed, imported, numbered, requested, staged, started
from tests.support.values import NOON, a_request

JOB = numbered(1, Priority.HIGH, request_id=a_request().request_id)


def state_after(*events: Event, request_s: float = 0) -> JobState:
    states = JobStates()
    request = a_request(requested_at=NOON + timedelta(seconds=request_s))
    state = states.apply(requested(JOB, request), NOON)
    for number, event in enumerate(events, 1):
        state = states.apply(event, NOON + timedelta(seconds=number))
    return state


def test_a_job_is_queued_processed_and_ended() -> None:
    events = (started(JOB), staged(JOB), started(JOB, Stage.IMPORT), imported(JOB))
    seen = [status_of(state_after(*events[:number])) for number in range(len(events) + 1)]
    assert seen == [JobStatus.QUEUED, *[JobStatus.PROCESSING] * 3, JobStatus.COMPLETED]
    assert status_of(state_after(JobCancelled(job=JOB))) is JobStatus.CANCELLED


def test_a_failed_attempt_is_queued_again_and_counts_as_a_retry() -> None:
    events = (
        started(JOB),
        failed(JOB),
        started(JOB).model_copy(update={"start": 2}),
        failed(JOB, 2, final=True),
    )
    views = [view_processing_job(state_after(*events[:number])) for number in range(1, 5)]
    assert [view.status for view in views] == ["PROCESSING", "QUEUED", "PROCESSING", "FAILED"]
    assert [view.retry_count for view in views] == [0, 1, 1, 1]
    assert [view.error_message for view in views] == [None, "refused", "refused", "refused"]


def test_the_view_of_a_completed_job() -> None:
    state = state_after(started(JOB), staged(JOB, 70), started(JOB, Stage.IMPORT), imported(JOB, 23_400))
    assert view_processing_job(state).model_dump(mode="json") == {
        "job_id": str(JOB.job_id),
        "request_id": str(JOB.request_id),
        "status": "COMPLETED",
        "priority_level": "high",
        "market_symbol": "NDX",
        "ticker": "NQ_NDX",
        "requested_at": "2025-11-14T17:00:00Z",
        "started_at": "2025-11-14T17:00:01Z",
        "completed_at": "2025-11-14T17:00:04Z",
        "processing_duration": "PT3S",
        "records_processed": 23_400,
        "counts": {"snapshots": 23_400, "strike_rows": 100},
        "data_size_bytes": 70,
        "error_message": None,
        "retry_count": 0,
    }


@pytest.mark.parametrize("request_s", [0, 2, 60], ids=["", "a clock ahead", "far ahead"])
def test_times_are_in_order_whatever_the_clocks_say(request_s: float) -> None:
    view = view_processing_job(state_after(started(JOB), imported(JOB), request_s=request_s))
    assert view.started_at is not None
    assert view.completed_at is not None
    assert view.requested_at <= view.started_at <= view.completed_at
    assert view.processing_duration == view.completed_at - view.started_at


def test_a_job_that_was_not_begun_has_no_duration() -> None:
    view = view_processing_job(state_after(JobCancelled(job=JOB)))
    assert (view.started_at, view.processing_duration) == (None, None)
    assert view.completed_at is not None


def test_jobs_are_filtered_and_paged() -> None:
    states = JobStates()
    for number in range(5):
        states.apply(requested(numbered(10 + number, Priority.LOW, number)), NOON)
    states.apply(requested(JOB, a_request()), NOON)

    def totals(**wanted: object) -> int:
        return list_processing_jobs(states, ProcessingJobFilter.model_validate(wanted)).total_count

    assert totals() == totals(status="QUEUED") == totals(ticker="nq_ndx") == totals(symbol="NQ_NDX") == 6
    assert (totals(level="high"), totals(symbol="ndx"), totals(status="FAILED")) == (1, 1, 0)
    page = list_processing_jobs(states, ProcessingJobFilter(limit=2, offset=2, level=Priority.LOW))
    assert [job.requested_at.second for job in page.jobs] == [2, 1]
    assert page.next == "/api/v1/processing-jobs?level=low&limit=2&offset=4"
