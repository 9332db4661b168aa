"""The ledger learns of jobs from events and from imports, in whatever order they come."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from services.importer import ledger_duckdb as ledger
from services.importer.ledger_events import Fact, record
from shared.job_states import Status
from shared.messages import FileStaged, JobFailed, JobReplayed, JobRequested, JobStarted
from shared.subjects import Stage
from tests.support.lake import LakeOnDisk, records
from tests.support.values import NOON, a_job

SHA = "0" * 64
JOB = a_job()
LATER = NOON + timedelta(minutes=1)
REQUESTED: Fact = (JobRequested(job=JOB, command_seq=1, url_sha256=SHA), NOON)
STARTED: Fact = (JobStarted(job=JOB, stage=Stage.FETCH, start=2), NOON)
STAGED: Fact = (FileStaged(job=JOB, staged_path="p", size_bytes=7, sha256=SHA, command_seq=2), NOON)
FAILED: Fact = (JobFailed(job=JOB, stage=Stage.FETCH, failures=3, final=True, error="gone"), NOON)


def ledger_row(lake: LakeOnDisk) -> ledger.LedgerRow:
    with lake.lake.reading() as connection:
        (row,) = ledger.read(connection, [JOB.job_id]).values()
    return row


def test_a_job_that_never_reached_an_import_is_in_the_ledger_with_its_error(lake: LakeOnDisk) -> None:
    record(lake.lake, [REQUESTED, STARTED, FAILED])
    row = ledger_row(lake)
    assert (row.status, row.attempts, row.last_error, row.base_url) == (
        Status.FAILED,
        2,
        "gone",
        JOB.base_url,
    )
    assert lake.rows("SELECT ticker, status, last_error FROM import_jobs") == [("NQ_NDX", "failed", "gone")]


@pytest.mark.parametrize("order", list(itertools.permutations([REQUESTED, STARTED, STAGED])))
def test_facts_in_any_order_and_told_twice_give_the_same_status(lake: LakeOnDisk, order: list[Fact]) -> None:
    for fact in order:
        record(lake.lake, [fact])
    record(lake.lake, list(order))
    row = ledger_row(lake)
    assert (row.status, row.checksum, row.bytes) == (Status.STAGED, SHA, 7)


def test_late_facts_do_not_undo_an_import(lake: LakeOnDisk) -> None:
    lake.bring_in(lake.stage(records(3), JOB))
    record(lake.lake, [REQUESTED, STARTED, STAGED, FAILED])
    row = ledger_row(lake)
    assert (row.status, row.records_processed, row.last_error) == (Status.COMPLETED, 3, None)


def test_a_later_request_starts_the_row_over_and_an_older_fact_is_let_go(lake: LakeOnDisk) -> None:
    lake.bring_in(lake.stage(records(3), JOB))
    again = a_job(generation=2, requested_at=LATER)
    record(lake.lake, [(JobRequested(job=again, command_seq=3, url_sha256=SHA), LATER), FAILED])
    row = ledger_row(lake)
    assert (row.status, row.generation, row.created_at) == (Status.PENDING, 2, JOB.requested_at)


def test_a_generation_that_counts_from_one_again_is_told_by_its_time(lake: LakeOnDisk) -> None:
    old = a_job(generation=9)
    lake.bring_in(lake.stage(records(3), old))
    forgotten = a_job(generation=1, requested_at=NOON + timedelta(days=60))
    record(lake.lake, [(JobRequested(job=forgotten, command_seq=3, url_sha256=SHA), NOON)])
    assert ledger_row(lake).generation == 1


def test_a_replayed_import_is_staged(lake: LakeOnDisk) -> None:
    replayed = JobReplayed(job=a_job(generation=2), stage=Stage.IMPORT, replay_of="job", command_seq=5)
    record(lake.lake, [(replayed, NOON)])
    assert ledger_row(lake).status is Status.STAGED


def test_attempts_that_will_be_tried_again_leave_the_error_but_not_the_status(lake: LakeOnDisk) -> None:
    again = JobFailed(job=JOB, stage=Stage.IMPORT, failures=1, final=False, error="disk full")
    record(lake.lake, [REQUESTED, STAGED, (again, NOON)])
    row = ledger_row(lake)
    assert (row.status, row.last_error) == (Status.STAGED, "disk full")
