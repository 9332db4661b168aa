"""The ledger follows the states of jobs, and what the importer writes into it stands."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gexlake.api.jobs import Priority, Stage, Status
from services.importer.ledger import table
from services.importer.ledger.keeper import record
from services.importer.ledger.rows import LedgerRow, updated_by
from shared.bus.messages import (
    Event,
    FileStaged,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobStarted,
    NoData,
    RowsPublished,
)
from shared.job_states import JobStates
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON, REQUEST_ID, a_job, a_skip

SHA = "0" * 64
JOB = a_job()
LATER = NOON + timedelta(minutes=1)
REQUESTED = (JobRequested(job=JOB, command_seq=1, url_sha256=SHA), NOON)
STARTED = (JobStarted(job=JOB, stage=Stage.FETCH, start=2), NOON)
STAGED = (FileStaged(job=JOB, staged_path="p", size_bytes=7, sha256=SHA, command_seq=2), NOON)
NO_DATA = (NoData(job=JOB, reason="the vendor has none"), NOON)
FAILED = (JobFailed(job=JOB, stage=Stage.FETCH, failures=3, final=True, error="gone"), NOON)


class Keeper:
    """Applies events and brings the ledger up to them, as the importer does."""

    def __init__(self, lake: LakeOnDisk) -> None:
        self._lake = lake
        self._states = JobStates()

    def learn(self, *events: tuple[Event, datetime]) -> int:
        for event, at in events:
            self._states.apply(event, at)
        return record(self._lake.lake, self._states)


@pytest.fixture
def keeper(lake: LakeOnDisk) -> Keeper:
    return Keeper(lake)


def ledger_row(lake: LakeOnDisk) -> LedgerRow:
    with lake.lake.reading() as connection:
        row = table.read_one(connection, JOB.job_id)
    assert row is not None
    return row


def test_a_job_that_never_reached_an_import_is_in_the_ledger_with_its_error(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    keeper.learn(REQUESTED, STARTED, FAILED)
    row = ledger_row(lake)
    assert (row.status, row.attempts, row.last_error, row.base_url) == (
        Status.FAILED,
        2,
        "gone",
        JOB.base_url,
    )
    assert lake.rows("SELECT ticker, status, last_error FROM import_jobs") == [("NQ_NDX", "failed", "gone")]


def test_a_day_without_data_is_in_the_ledger_as_skipped_with_the_reason(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    keeper.learn(REQUESTED, STARTED, NO_DATA)
    row = ledger_row(lake)
    assert (row.status, row.reason, row.last_error, row.checksum) == (
        Status.SKIPPED,
        "the vendor has none",
        None,
        None,
    )
    assert Keeper(lake).learn(REQUESTED, STARTED, NO_DATA) == 0
    again = a_job(generation=2, requested_at=LATER)
    keeper.learn((JobRequested(job=again, command_seq=3, url_sha256=SHA), LATER))
    assert (ledger_row(lake).status, ledger_row(lake).reason) == (Status.PENDING, None)


def test_a_cancelled_job_is_in_the_ledger_with_its_reason_until_it_is_requested_again(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    keeper.learn(REQUESTED, (JobCancelled(job=JOB, reason="wrong day"), LATER))
    row = ledger_row(lake)
    assert (row.status, row.reason, row.last_error) == (Status.CANCELLED, "wrong day", None)
    again = a_job(generation=2, requested_at=LATER)
    keeper.learn((JobRequested(job=again, command_seq=3, url_sha256=SHA), LATER))
    assert (ledger_row(lake).status, ledger_row(lake).reason) == (Status.PENDING, None)


@pytest.mark.parametrize("order", list(itertools.permutations([REQUESTED, STARTED, STAGED])))
def test_events_in_any_order_and_repeated_give_the_same_row(
    lake: LakeOnDisk, keeper: Keeper, order: list[tuple[Event, datetime]]
) -> None:
    for event in order:
        keeper.learn(event)
    before = ledger_row(lake)
    assert keeper.learn(*order) == 0
    assert Keeper(lake).learn(*order) == 0  # the importer was started again
    assert ledger_row(lake) == before
    assert (before.status, before.checksum, before.bytes) == (Status.STAGED, SHA, 7)


def test_late_facts_do_not_undo_an_import(lake: LakeOnDisk, keeper: Keeper) -> None:
    lake.import_staged(lake.stage(records(3), JOB))
    before = ledger_row(lake)
    assert keeper.learn(REQUESTED, STARTED, STAGED, FAILED) == 1
    assert ledger_row(lake) == replace(before, started_at=NOON)
    assert keeper.learn(REQUESTED, STARTED, STAGED, FAILED) == 0
    assert (before.status, before.records_processed) == (Status.COMPLETED, 3)


def test_a_later_request_starts_the_row_over_and_an_older_fact_is_let_go(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    lake.import_staged(lake.stage(records(3), JOB))
    again = a_job(generation=2, requested_at=LATER)
    keeper.learn((JobRequested(job=again, command_seq=3, url_sha256=SHA), LATER))
    row = ledger_row(lake)
    assert (row.status, row.generation, row.created_at, row.checksum) == (
        Status.PENDING,
        2,
        JOB.requested_at,
        None,
    )
    Keeper(lake).learn(REQUESTED, FAILED)
    assert ledger_row(lake) == row


def test_an_import_of_an_older_generation_leaves_the_row_of_the_newer_one(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    command = lake.stage(records(3), JOB)
    again = a_job(generation=2, requested_at=LATER)
    keeper.learn((JobRequested(job=again, command_seq=3, url_sha256=SHA), LATER))
    before = ledger_row(lake)
    lake.import_staged(command)
    assert ledger_row(lake) == before
    assert lake.rows("SELECT generation, published FROM partitions") == [(1, True)]


def test_a_clock_that_ran_back_does_not_bring_an_older_generation_back(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    newer = a_job(generation=2, requested_at=NOON - timedelta(seconds=1))
    keeper.learn(REQUESTED, (JobRequested(job=newer, command_seq=3, url_sha256=SHA), NOON), STARTED)
    assert ledger_row(lake).generation == 2


def test_a_restarted_generation_is_recognised_by_its_time(lake: LakeOnDisk, keeper: Keeper) -> None:
    old = a_job(generation=9)
    lake.import_staged(lake.stage(records(3), old))
    forgotten = a_job(generation=1, requested_at=NOON + timedelta(days=60))
    keeper.learn((JobRequested(job=forgotten, command_seq=3, url_sha256=SHA), NOON))
    assert ledger_row(lake).generation == 1


def test_a_replayed_import_is_staged(lake: LakeOnDisk, keeper: Keeper) -> None:
    replayed = JobReplayed(job=a_job(generation=2), stage=Stage.IMPORT, replay_of="job", command_seq=5)
    keeper.learn((replayed, NOON))
    assert ledger_row(lake).status is Status.STAGED


def test_attempts_that_will_be_tried_again_leave_the_error_but_not_the_status(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    again = JobFailed(job=JOB, stage=Stage.IMPORT, failures=1, final=False, error="disk full")
    keeper.learn(REQUESTED, STAGED, (again, NOON))
    row = ledger_row(lake)
    assert (row.status, row.last_error) == (Status.STAGED, "disk full")


def test_what_the_importer_wrote_itself_stands(lake: LakeOnDisk, keeper: Keeper) -> None:
    lake.import_staged(lake.stage(records(3), JOB))
    before = ledger_row(lake)
    states = JobStates()
    state = states.apply(a_skip(JOB), LATER)
    assert updated_by(before, state) is None
    assert keeper.learn((a_skip(JOB), LATER)) == 0


def test_a_job_has_its_request_its_times_and_how_often_it_was_repeated(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    due = NOON + timedelta(minutes=5)
    job = a_job(request_id=REQUEST_ID, priority=Priority.HIGH, priority_score=0.75, deadline=due)
    at = [NOON + timedelta(seconds=seconds) for seconds in range(6)]
    keeper.learn(
        (JobRequested(job=job, command_seq=1, url_sha256=SHA), at[0]),
        (JobStarted(job=job, stage=Stage.FETCH, start=1), at[1]),
        (JobFailed(job=job, stage=Stage.FETCH, failures=1, final=False, error="reset"), at[2]),
        (JobStarted(job=job, stage=Stage.FETCH, start=2), at[3]),
    )
    assert lake.rows("SELECT status FROM processing_jobs") == [("PROCESSING",)]
    keeper.learn(
        (JobFailed(job=job, stage=Stage.FETCH, failures=1, waits=1, final=False, error="busy"), at[3])
    )
    (found,) = lake.rows("FROM processing_jobs")
    assert found == (
        str(JOB.job_id),
        str(REQUEST_ID),
        "QUEUED",
        at[1],
        None,
        None,
        None,
        None,
        "busy",
        1,
        None,
    )
    keeper.learn((JobFailed(job=job, stage=Stage.FETCH, failures=2, final=True, error="gone"), at[4]))
    row = ledger_row(lake)
    assert row.job == job
    assert (row.started_at, row.completed_at, row.retry_count) == (at[1], at[4], 1)
    assert lake.rows("SELECT status, processing_duration FROM processing_jobs") == [
        ("FAILED", timedelta(seconds=3))
    ]


def test_a_job_without_a_file_has_what_it_counted(lake: LakeOnDisk, keeper: Keeper) -> None:
    job = a_job(ticker="MTBpC", endpoint="ohlcv_1m", base_url="https://api.massive.com/bars")
    keeper.learn((RowsPublished(job=job, counts={"bars": 8190}), NOON))
    query = "SELECT status, ticker, records_processed, counts::JSON->>'bars' FROM all_jobs"
    assert lake.rows(query) == [("completed", "MTBpC", 8190, "8190")]
    assert lake.rows("SELECT records_processed, counts FROM processing_jobs") == [(8190, '{"bars": 8190}')]
    again = a_job(**{**job.model_dump(), "generation": 2})
    keeper.learn((JobRequested(job=again, command_seq=1, url_sha256=SHA), LATER))
    assert lake.rows("SELECT status, records_processed, counts FROM all_jobs") == [("pending", None, None)]


def test_an_import_that_the_importer_wrote_itself_has_its_end_and_its_request(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3), a_job(request_id=REQUEST_ID, priority=Priority.LOW)))
    row = ledger_row(lake)
    assert (row.request_id, row.priority_level, row.completed_at) == (str(REQUEST_ID), Priority.LOW, NOON)
    assert lake.rows("SELECT status, processing_duration FROM processing_jobs") == [("COMPLETED", None)]


def test_the_rows_of_an_older_version_get_the_end_of_their_jobs(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3), JOB))
    with lake.lake.writing() as connection:
        added = ("request_id", "priority_level", "priority_score", "deadline", "started_at", "completed_at")
        for name in (*added, "retry_count", "is_queued"):
            connection.execute(f"ALTER TABLE gex_history_queue DROP COLUMN {name}")
        (row,) = table.read_all(connection)
    assert (row.completed_at, row.retry_count, row.priority_level) == (NOON, 0, None)


def test_times_are_in_order_whatever_the_clocks_say(lake: LakeOnDisk, keeper: Keeper) -> None:
    before, later = NOON - timedelta(seconds=2), NOON + timedelta(seconds=2)
    keeper.learn(REQUESTED, (JobStarted(job=JOB, stage=Stage.FETCH, start=1), before))
    assert lake.rows("SELECT started_at FROM processing_jobs") == [(NOON,)]
    again = a_job(generation=2)
    keeper.learn((JobStarted(job=again, stage=Stage.FETCH, start=1), later), (a_skip(again), NOON))
    assert lake.rows("SELECT started_at, completed_at, processing_duration FROM processing_jobs") == [
        (later, later, timedelta(0))
    ]
