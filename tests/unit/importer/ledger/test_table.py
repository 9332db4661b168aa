"""The ledger follows the states of jobs, and what the importer writes into it stands."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from gexlake.api.jobs import Stage, Status
from services.importer.ledger import table
from services.importer.ledger.keeper import record
from services.importer.ledger.rows import LedgerRow, updated_by
from shared.bus.messages import Event, FileStaged, JobFailed, JobReplayed, JobRequested, JobStarted, NoData
from shared.job_states import JobStates
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON, a_job, a_skip

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
    assert keeper.learn(REQUESTED, STARTED, STAGED, FAILED) == 0
    assert ledger_row(lake) == before
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
