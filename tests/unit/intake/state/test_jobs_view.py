"""How jobs are shown and listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gexlake.api.jobs import Stage, Status
from services.intake.state.jobs_view import JobFilter, list_jobs, view_job
from shared.bus.messages import (
    Event,
    FileStaged,
    Job,
    JobFailed,
    JobRequested,
    JobStarted,
    NoData,
    PartitionImported,
    RowsPublished,
)
from shared.bus.reports.progress import Progress
from shared.job_states import JobState, JobStates
from tests.support.values import BASE_URL, NOON, a_job, a_skip

SHA, OLD = "a" * 64, "b" * 64
BARS = a_job(ticker="MTBpC", endpoint="ohlcv_1m", base_url="https://api.massive.com/bars", trading_day=None)


def after(*events: Event) -> JobState:
    states = JobStates()
    for minutes, event in enumerate(events):
        state = states.apply(event, NOON + timedelta(minutes=minutes))
    return state


def requested(job: Job) -> JobRequested:
    return JobRequested(job=job, command_seq=1, url_sha256=SHA)


def started(job: Job, stage: Stage = Stage.FETCH) -> JobStarted:
    return JobStarted(job=job, stage=stage, start=1)


def staged(job: Job) -> FileStaged:
    return FileStaged(job=job, staged_path="p", size_bytes=70, sha256=SHA, command_seq=2)


def imported(job: Job) -> PartitionImported:
    return PartitionImported(
        job=job,
        trading_day=job.trading_day or NOON.date(),
        sha256=SHA,
        snapshots=3,
        strike_rows=30,
        parquet_path="NQ_NDX/gex_zero/20251114.strikes.parquet",
        parquet_bytes=9,
        parquet_sha256=SHA,
        replaced_sha256=OLD,
    )


def progress(job: Job, stage: Stage = Stage.FETCH, done: int = 5, total: int | None = 70) -> Progress:
    return Progress(
        job_id=job.job_id, generation=job.generation, stage=stage, done_bytes=done, total_bytes=total
    )


def test_a_completed_job_tells_every_transition_and_its_result() -> None:
    job = a_job()
    view = view_job(after(requested(job), started(job), staged(job), imported(job)), None)
    assert [(step.state, step.at) for step in view.transitions] == [
        (Status.PENDING, NOON),
        (Status.STARTED, NOON + timedelta(minutes=1)),
        (Status.STAGED, NOON + timedelta(minutes=2)),
        (Status.COMPLETED, NOON + timedelta(minutes=3)),
    ]
    assert (view.state, view.status, view.skipped, view.error) == ("completed", "completed", False, None)
    assert (view.rows, view.snapshots, view.strike_rows) == (3, 3, 30)
    assert (view.bytes_fetched, view.bytes_expected) == (70, 70)
    assert (view.checksum, view.replaced_checksum) == (SHA, OLD)
    assert (view.url, view.parquet_bytes) == (BASE_URL, 9)


def test_a_fetch_under_way_tells_bytes_fetched_of_bytes_expected() -> None:
    job = a_job()
    state = after(requested(job), started(job))
    assert (view_job(state, None).bytes_fetched, view_job(state, None).bytes_expected) == (0, None)
    view = view_job(state, progress(job))
    assert (view.bytes_fetched, view.bytes_expected) == (5, 70)
    assert view.progress is not None
    assert (view.progress.stage, view.progress.done_bytes) == (Stage.FETCH, 5)


def test_an_import_under_way_still_tells_the_bytes_of_the_whole_file() -> None:
    job = a_job()
    view = view_job(after(requested(job), started(job), staged(job)), progress(job, Stage.IMPORT, 20))
    assert (view.bytes_fetched, view.bytes_expected, view.checksum) == (70, 70, SHA)


def test_a_new_generation_shows_nothing_of_the_old_file() -> None:
    job, again = a_job(), a_job(generation=2)
    view = view_job(after(requested(job), started(job), staged(job), imported(job), requested(again)), None)
    assert (view.generation, view.state, view.bytes_fetched, view.checksum) == (2, "pending", 0, None)
    assert (view.rows, view.created_at) == (None, NOON)


def test_a_skipped_job_says_so() -> None:
    job = a_job()
    skipped = a_skip(job, sha256=SHA)
    view = view_job(after(requested(job), started(job), staged(job), skipped), None)
    assert (view.state, view.skipped, view.rows) == ("skipped", True, 3)
    assert (view.no_data, view.reason) == (False, None)


def test_a_day_without_data_says_so_and_is_no_error() -> None:
    job = a_job()
    view = view_job(after(requested(job), started(job), NoData(job=job, reason="the vendor has none")), None)
    assert (view.state, view.skipped, view.no_data) == ("skipped", True, True)
    assert (view.reason, view.error, view.dead_letter_seq) == ("the vendor has none", None, None)


def test_a_failed_job_names_the_error_its_field_and_the_dead_letter() -> None:
    job = a_job()
    failed = JobFailed(
        job=job, stage=Stage.FETCH, failures=3, final=True, error="403", field="url", dead_letter_seq=4
    )
    view = view_job(after(requested(job), started(job), failed), None)
    assert (view.state, view.error, view.error_field, view.dead_letter_seq) == ("failed", "403", "url", 4)
    assert (view.stage, view.attempts, view.failures) == ("fetch", 1, 3)


def many() -> list[JobState]:
    """Return jobs of three tickers, each asked for a minute after the one before."""
    states = []
    for number, ticker in enumerate(("A", "B", "C", "A", "B", "A")):
        job = a_job(
            ticker=ticker,
            base_url=f"https://hist.gex.bot/{number}.json",
            endpoint="gex_one" if number == 5 else "gex_zero",
            requested_at=NOON + timedelta(minutes=number),
        )
        state = after(requested(job))
        states.append(replace(state, status=Status.FAILED) if number == 0 else state)
    return states[3:] + states[:3]


def id_of(number: int) -> str:
    """Return the id of the job with a number, of ``many()``."""
    return next(str(state.job.job_id) for state in many() if f"/{number}.json" in state.job.base_url)


def listed(**wanted: Any) -> list[str]:
    page = list_jobs(many(), JobFilter(**wanted), lambda _: None)
    return [job.url.rpartition("/")[2].removesuffix(".json") for job in page.jobs]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "543210"),
        ({"ticker": "a"}, "530"),
        ({"endpoint": "GEX_ONE"}, "5"),
        ({"status": "failed"}, "0"),
        ({"ticker": "A", "status": "pending", "endpoint": "gex_zero"}, "3"),
        ({"limit": 2, "offset": 1}, "43"),
        ({"id": id_of(2)}, "2"),
        ({"id": id_of(2).upper()[:7]}, "2"),
        ({"id": id_of(2).replace("-", "")[:14]}, "2"),
        ({"id": id_of(2), "ticker": "A"}, ""),
        ({"offset": 9}, ""),
    ],
)
def test_the_newest_request_comes_first_among_those_that_fit(wanted: dict[str, Any], found: str) -> None:
    assert listed(**wanted) == list(found)


def test_a_page_names_the_next_one_with_the_same_filters() -> None:
    page = list_jobs(many(), JobFilter(ticker="A", limit=2), lambda _: None)
    assert (page.total, page.limit, page.offset) == (3, 2, 0)
    assert page.next == "/jobs?ticker=A&limit=2&offset=2"
    last = list_jobs(many(), JobFilter(ticker="A", limit=2, offset=2), lambda _: None)
    assert (len(last.jobs), last.next) == (1, None)


@given(st.integers(1, 7))
def test_pages_together_are_the_whole_list(limit: int) -> None:
    pages = [listed(limit=limit, offset=offset) for offset in range(0, 6, limit)]
    assert [job for page in pages for job in page] == listed()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"status": "lost"}, "status"),
        ({"ticker": "../x"}, "ticker"),
        ({"id": "../x"}, "id"),
        ({"endpoint": "zero"}, "endpoint"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"offset": -1}, "offset"),
        ({"state": "failed"}, "state"),
    ],
)
def test_a_bad_filter_is_refused_by_name(wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JobFilter(**wanted)
    assert caught.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize(
    ("end", "rows", "counts"),
    [
        (RowsPublished(job=BARS, counts={"bars": 8190}), 8190, {"bars": 8190}),
        (
            imported(BARS).model_copy(update={"counts": {"bars": 9, "symbols": 2}}),
            9,
            {"bars": 9, "symbols": 2},
        ),
        (imported(a_job()), 3, {"snapshots": 3, "strike_rows": 30}),
    ],
)
def test_each_dataset_shows_what_it_counts(end: Event, rows: int, counts: dict[str, int]) -> None:
    view = view_job(after(requested(end.job), end), None)
    assert (view.state, view.rows, view.counts) == (Status.COMPLETED, rows, counts)
    assert (view.snapshots, view.strike_rows) == (counts.get("snapshots"), counts.get("strike_rows"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"endpoint": "OHLCV_1M"}, ["MTBpC"]),
        ({"ticker": "MTBpC"}, ["MTBpC"]),
        ({"ticker": "MTBPC"}, []),
        ({"ticker": "spx"}, ["SPX"]),
        ({"ticker": "us_stocks_sip"}, []),
    ],
)
def test_jobs_are_found_by_the_endpoints_and_tickers_of_their_dataset(
    wanted: dict[str, str], found: list[str]
) -> None:
    states = [after(requested(BARS)), after(requested(a_job(ticker="SPX")))]
    listed = list_jobs(states, JobFilter.model_validate(wanted), lambda _: None)
    assert [job.ticker for job in listed.jobs] == found
