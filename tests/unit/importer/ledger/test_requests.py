"""The table of requests follows the states of jobs; a job may have had several requests."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import pytest

from gexlake.api.jobs import Priority, Stage
from services.importer.lake.database import Lake
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.keeper import LedgerKeeper
from services.importer.ledger.salvage import salvage_ledger
from shared.bus.connection import Bus
from shared.bus.messages import (
    Event,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobStarted,
    PartitionImported,
)
from shared.bus.requests import Override, PriorityRequest
from tests.support.importer.lake import LakeOnDisk
from tests.support.importer.queries import ask
from tests.support.values import NOON, REQUEST_ID, a_job, a_request

SHA: Final = "0" * 64
OTHER_ID: Final = UUID("5e8b7c52-6c13-4d38-8f0e-3a2b1c0d9e8f")
DUE: Final = NOON + timedelta(minutes=5)


class Keeper:
    """Keeps the tables of a lake, without a broker."""

    def __init__(self, lake: LakeOnDisk) -> None:
        self.keeper = LedgerKeeper(cast("Bus", None), lake.lake, WriterThread())

    async def learn(self, *events: tuple[Event, datetime]) -> None:
        for event, at in events:
            self.keeper.apply(event, at)
        await self.write()

    async def write(self) -> None:
        while self.keeper._changed:
            await self.keeper.write_some()


@pytest.fixture
def keeper(lake: LakeOnDisk) -> Keeper:
    return Keeper(lake)


def requested(
    request: PriorityRequest | None = None, at: datetime = NOON, generation: int = 1
) -> tuple[Event, datetime]:
    request = request or a_request()
    job = job_of(request, generation=generation, requested_at=at)
    return JobRequested(job=job, command_seq=1, url_sha256=SHA, request=request), at


def job_of(request: PriorityRequest, **changes: Any) -> Any:
    of_request = {
        "request_id": request.request_id,
        "priority": request.priority_level,
        "priority_score": request.priority_score,
        "deadline": request.deadline,
    }
    return a_job(**{**of_request, **changes})


def imported(at: datetime, request: PriorityRequest | None = None, **job: Any) -> tuple[Event, datetime]:
    event = PartitionImported(
        job=job_of(request or a_request(), **job),
        trading_day=NOON.date(),
        sha256=SHA,
        snapshots=1,
        strike_rows=1,
        parquet_path="p",
        parquet_bytes=1,
        parquet_sha256=SHA,
    )
    return event, at


def outcomes(lake: LakeOnDisk) -> list[tuple[Any, ...]]:
    return lake.rows(
        "SELECT request_id, status, completed_at, deadline_kept FROM priority_requests ORDER BY submitted_at"
    )


async def test_a_request_is_in_the_table_with_all_its_fields(lake: LakeOnDisk, keeper: Keeper) -> None:
    override = Override(priority_level=Priority.HIGH, priority_score=0.75, reason="now", by="key:1", at=NOON)
    request = a_request(metadata={"desk": "vol"}, overrides=(override,))
    await keeper.learn(requested(request))
    with lake.lake.reading() as connection:
        found = connection.execute("SELECT * FROM priority_requests")
        (values,) = found.fetchall()
        row = dict(zip((name for name, *_ in found.description), values, strict=True))
    assert json.loads(row.pop("overrides")) == [override.model_dump(mode="json")]
    assert row == {
        "request_id": str(REQUEST_ID),
        "job_id": str(a_job().job_id),
        "channel": "priority",
        "source_url": a_job().base_url,
        "data_type": "historical",
        "market_symbol": "NDX",
        "requested_at": NOON,
        "submitted_at": NOON,
        "priority_score": 0.75,
        "priority_level": "high",
        "decided_by": ["Desk"],
        "deadline": DUE,
        "estimated_processing_time": timedelta(seconds=12.5),
        "queue_position": 3,
        "metadata": '{"desk": "vol"}',
        "generation": 1,
        "status": "pending",
        "completed_at": None,
        "deadline_kept": None,
        "updated_at": NOON,
    }


@pytest.mark.parametrize(
    ("seconds", "kept"), [(299, True), (300, True), (301, False)], ids=["early", "in time", "late"]
)
async def test_a_deadline_is_kept_by_the_end_of_the_job(
    lake: LakeOnDisk, keeper: Keeper, seconds: int, kept: bool
) -> None:
    at = NOON + timedelta(seconds=seconds)
    await keeper.learn(requested(), imported(at))
    assert outcomes(lake) == [(str(REQUEST_ID), "completed", at, kept)]


@pytest.mark.parametrize(
    ("event", "status", "kept"),
    [
        (
            JobFailed(job=job_of(a_request()), stage=Stage.FETCH, failures=3, final=True, error="gone"),
            "failed",
            False,
        ),
        (JobCancelled(job=job_of(a_request())), "cancelled", None),
    ],
    ids=["failed", "cancelled"],
)
async def test_a_request_that_failed_is_not_kept_and_a_cancelled_one_is_neither(
    lake: LakeOnDisk, keeper: Keeper, event: Event, status: str, kept: bool | None
) -> None:
    await keeper.learn(requested(), (event, NOON))
    assert outcomes(lake) == [(str(REQUEST_ID), status, NOON, kept)]


async def test_a_request_without_a_deadline_is_neither_kept_nor_missed(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    request = a_request(priority_level=Priority.LOW, priority_score=0.2, deadline=None)
    await keeper.learn(requested(request), imported(NOON, request))
    assert outcomes(lake) == [(str(REQUEST_ID), "completed", NOON, None)]


async def test_a_changed_priority_changes_the_request_and_its_deadline(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    later = NOON + timedelta(minutes=2)
    override = Override(priority_level=Priority.CRITICAL, priority_score=0.95, reason="now", at=later)
    raised = a_request(
        priority_level=Priority.CRITICAL,
        priority_score=0.95,
        overrides=(override,),
        deadline=later + timedelta(seconds=30),
    )
    replayed = JobReplayed(
        job=job_of(raised, generation=2),
        stage=Stage.FETCH,
        replay_of="priority",
        command_seq=2,
        request=raised,
    )
    await keeper.learn(requested(), (replayed, later))
    assert lake.rows(
        "SELECT priority_level, priority_score, deadline, json_array_length(overrides), generation "
        "FROM priority_requests"
    ) == [("critical", 0.95, later + timedelta(seconds=30), 1, 2)]


async def test_a_job_that_is_requested_again_keeps_the_end_of_its_first_request(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    again = a_request(request_id=OTHER_ID, submitted_at=NOON + timedelta(hours=1))
    events = (
        requested(),
        imported(NOON + timedelta(seconds=9)),
        requested(again, again.submitted_at, generation=2),
    )
    await keeper.learn(*events)
    expected = [
        (str(REQUEST_ID), "completed", NOON + timedelta(seconds=9), True),
        (str(OTHER_ID), "pending", None, None),
    ]
    assert outcomes(lake) == expected
    rows = lake.rows("FROM priority_requests ORDER BY ALL")
    restarted = Keeper(lake)
    for event in events:  # as they are written while the importer still reads EVENTS
        await restarted.learn(event)
        assert lake.rows("FROM priority_requests ORDER BY ALL") == rows


async def test_lost_rows_are_written_again(lake: LakeOnDisk, keeper: Keeper) -> None:
    again = a_request(request_id=OTHER_ID, submitted_at=NOON + timedelta(hours=1))
    await keeper.learn(requested(), imported(NOON), requested(again, again.submitted_at, generation=2))
    before = outcomes(lake)
    with lake.lake.writing() as connection:
        connection.execute("DELETE FROM priority_requests")
    keeper.keeper.write_again()
    await keeper.write()
    assert outcomes(lake) == before


async def test_lost_rows_of_requests_are_read_from_a_damaged_database(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    await keeper.learn(requested(), imported(NOON))
    before = lake.rows("FROM priority_requests")
    folder = lake.settings.paths.quarantine / "1"
    folder.mkdir(parents=True)
    lake.lake.close()
    lake.settings.paths.database.rename(folder / "gex_data.db")
    lake.lake = Lake.open(lake.settings)
    assert lake.rows("FROM priority_requests") == []
    assert salvage_ledger(lake.lake) == 2
    assert lake.rows("FROM priority_requests") == before
    assert salvage_ledger(lake.lake) == 0


async def test_a_request_whose_event_is_gone_still_follows_its_job(lake: LakeOnDisk, keeper: Keeper) -> None:
    await keeper.learn(requested())
    restarted = Keeper(lake)
    await restarted.learn((JobStarted(job=job_of(a_request()), stage=Stage.FETCH, start=1), NOON))
    assert outcomes(lake) == [(str(REQUEST_ID), "started", None, None)]
    await restarted.learn(imported(DUE))
    assert outcomes(lake) == [(str(REQUEST_ID), "completed", DUE, True)]


async def test_a_job_without_a_request_leaves_no_row(lake: LakeOnDisk, keeper: Keeper) -> None:
    await keeper.learn((JobRequested(job=a_job(), command_seq=1, url_sha256=SHA), NOON))
    assert outcomes(lake) == []
    assert lake.rows("SELECT request_id, priority_level FROM gex_history_queue") == [(None, "medium")]


async def test_a_job_that_is_done_again_keeps_the_end_of_its_request(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    replayed = JobReplayed(
        job=job_of(a_request(), generation=2), stage=Stage.FETCH, replay_of="job", command_seq=2
    )
    late = imported(DUE + timedelta(days=1), generation=2)
    events = (requested(), imported(DUE), (replayed, DUE + timedelta(hours=1)), late)
    await keeper.learn(*events)
    expected = [(str(REQUEST_ID), "completed", DUE, True)]
    assert outcomes(lake) == expected
    restarted = Keeper(lake)
    await restarted.learn(late)  # EVENTS has dropped the others
    assert outcomes(lake) == expected


async def test_an_import_that_failed_and_was_completed_after_all_ends_when_it_was_completed(
    lake: LakeOnDisk, keeper: Keeper
) -> None:
    job = job_of(a_request())
    failed = JobFailed(job=job, stage=Stage.IMPORT, failures=3, final=True, error="the disk is full")
    done = NOON + timedelta(seconds=20)
    for event in (requested(), (failed, NOON), imported(done)):
        await keeper.learn(event)
    assert outcomes(lake) == [(str(REQUEST_ID), "completed", done, True)]


async def test_requests_that_events_has_dropped_are_forgotten(lake: LakeOnDisk, keeper: Keeper) -> None:
    await keeper.learn(requested())
    other = a_request(request_id=OTHER_ID, submitted_at=NOON + timedelta(days=31))
    await keeper.learn(requested(other, other.submitted_at, generation=2))
    assert keeper.keeper._requests.keys() == {a_job().job_id}
    assert [*keeper.keeper._requests[a_job().job_id]] == [OTHER_ID]
    assert len(outcomes(lake)) == 2


def test_a_query_sees_requests_as_the_tables_hold_them(lake: LakeOnDisk) -> None:
    keeper = LedgerKeeper(cast("Bus", None), lake.lake, WriterThread())
    keeper.apply(*requested())
    asyncio.run(keeper.write_some())
    query = "SELECT r.request_id, j.status FROM priority_requests r JOIN processing_jobs j USING (request_id)"
    assert ask(lake, query).rows == ((str(REQUEST_ID), "QUEUED"),)
