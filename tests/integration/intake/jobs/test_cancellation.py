"""Cancelling jobs over HTTP against workers, on a real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

import httpx
import pytest

from gexlake.api.jobs import Priority, Stage
from services.intake.settings import IntakeSettings
from services.intake.state.projection import Projection
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer.attempts import Retries
from shared.bus.consumer.execution import Handler
from shared.bus.consumer.worker import Worker
from shared.bus.messages import (
    Command,
    FileStaged,
    Job,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobStarted,
    PartitionImported,
)
from shared.errors import Deferred
from tests.support.intake.running import SIGNED_URL, RunningIntake, running_intake
from tests.support.poll import eventually
from tests.support.values import REQUEST_ID, a_fetch, a_job, a_request, an_import

SHA: Final = "a" * 64


class NoRoom(Deferred):
    """Work that is deferred for a moment."""

    max_retry_delay_s = 0.02


@pytest.fixture
def intake_settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url)


@contextlib.asynccontextmanager
async def working(bus: Bus, stage: Stage, handle: Handler, slots: int = 1) -> AsyncIterator[None]:
    worker = Worker(bus, stage, handle, slots=slots, retries=Retries(max_attempts=3, delay_s=0.01))
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop, drain_timeout_s=5))
    try:
        yield
    finally:
        stop.set()
        await task


async def outstanding(bus: Bus, stage: Stage) -> int:
    info = await bus.js.consumer_info(subjects.JOBS, subjects.durable(stage, Priority.MEDIUM))
    return (info.num_ack_pending or 0) + (info.num_pending or 0)


async def requested(bus: Bus, job: Job, *, at_import: bool = False) -> None:
    """Publish what is published of a job before the command of its stage, and then that command."""
    request = a_request(request_id=job.request_id) if job.request_id else None
    await bus.publish_event(JobRequested(job=job, command_seq=1, url_sha256=SHA, request=request))
    if at_import:
        await bus.publish_event(FileStaged(job=job, staged_path="f", size_bytes=1, sha256=SHA, command_seq=2))
    await bus.publish_command(an_import(job) if at_import else a_fetch(job))


async def cancel(intake: RunningIntake, job_id: UUID, **query: str) -> httpx.Response:
    return await intake.http.delete(f"/api/v1/processing-jobs/{job_id}", params=query)


async def known(intake: RunningIntake, job: Job) -> None:
    await eventually(lambda: intake.context.projection.job(job.job_id))


async def test_a_cancelled_job_is_not_executed_and_says_so(bus: Bus, intake_settings: IntakeSettings) -> None:
    handled: list[Command] = []

    async def handle(command: Command) -> None:
        handled.append(command)

    job = a_job(request_id=REQUEST_ID)
    async with running_intake(intake_settings) as intake:
        await requested(bus, job)
        await known(intake, job)
        route = f"/api/v1/ingest/priority/{REQUEST_ID}"
        first = await intake.http.delete(route, params={"reason": " wrong day ?sig=secret "})
        again = await intake.http.delete(route)
        async with working(bus, Stage.FETCH, handle):

            async def acknowledged() -> bool:
                return await outstanding(bus, Stage.FETCH) == 0

            await eventually(acknowledged)
        shown = await intake.get(f"/jobs/{job.job_id}")
    assert (first.status_code, again.status_code) == (200, 200), first.text
    assert first.json() == again.json()
    assert {**first.json(), "cancelled_at": ""} == {
        "status": "cancelled",
        "request_id": str(REQUEST_ID),
        "job_id": str(job.job_id),
        "cancelled_at": "",
    }
    assert (shown["state"], shown["error"], shown["dead_letter_seq"]) == ("cancelled", None, None)
    assert shown["reason"].startswith("wrong day")
    assert handled == []
    event = await bus.last_event(JobCancelled, job.job_id)
    assert event is not None
    assert event.by == "address:127.0.0.1"
    assert "secret" not in (event.reason or "")
    assert await bus.last_event(JobStarted, job.job_id) is None


async def test_what_has_begun_or_ended_is_not_cancelled(bus: Bus, intake_settings: IntakeSettings) -> None:
    job = a_job()
    async with running_intake(intake_settings) as intake:
        await requested(bus, job)
        await bus.publish_event(JobStarted(job=job, stage=Stage.FETCH, start=1))
        running = await cancel(intake, job.job_id)
        newer = a_job(generation=2)
        await bus.publish_event(JobRequested(job=newer, command_seq=2, url_sha256=SHA))
        older_running = await cancel(intake, job.job_id)
        await bus.publish_event(
            PartitionImported(
                job=newer,
                trading_day=job.trading_day,
                sha256=SHA,
                snapshots=1,
                strike_rows=1,
                parquet_path="p",
                parquet_bytes=1,
                parquet_sha256=SHA,
            )
        )
        ended = await cancel(intake, job.job_id)
        unknown = await cancel(intake, uuid4())
        no_request = await intake.http.delete(f"/api/v1/ingest/priority/{uuid4()}")
    refused = (running, older_running, ended)
    assert [answer.json()["error"]["rule"] for answer in refused] == ["begun", "begun", "ended"]
    assert "completed" in ended.json()["error"]["message"]
    answers = (*refused, unknown, no_request)
    assert [answer.status_code for answer in answers] == [409, 409, 409, 404, 404]
    assert await bus.last_event(JobCancelled, job.job_id) is None


async def test_a_request_whose_job_goes_on_for_another_one_is_not_cancelled(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        await requested(bus, a_job(request_id=REQUEST_ID))
        await requested(bus, a_job(request_id=uuid4(), generation=2))
        await eventually(lambda: intake.context.projection.request(REQUEST_ID))
        answer = await intake.http.delete(f"/api/v1/ingest/priority/{REQUEST_ID}")
    assert (answer.status_code, answer.json()["error"]["rule"]) == (409, "ended")


async def test_an_attempt_that_starts_during_the_request_wins(
    bus: Bus, intake_settings: IntakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_job()
    has_applied = Projection.has_applied

    async def start_now(projection: Projection, sequence: int) -> None:
        await has_applied(projection, sequence)
        await bus.publish_event(JobStarted(job=job, stage=Stage.FETCH, start=1))

    async with running_intake(intake_settings) as intake:
        await requested(bus, job)
        await known(intake, job)
        monkeypatch.setattr(Projection, "has_applied", start_now)
        answer = await cancel(intake, job.job_id)
    assert (answer.status_code, answer.json()["error"]["rule"]) == (409, "begun")
    assert await bus.last_event(JobCancelled, job.job_id) is None


async def test_a_job_that_waits_for_another_attempt_is_cancelled(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    tried = 0

    async def handle(_: Command) -> None:
        nonlocal tried
        tried += 1
        raise NoRoom

    job = a_job()
    async with running_intake(intake_settings) as intake, working(bus, Stage.FETCH, handle):
        await requested(bus, job)

        async def cancelled() -> bool:
            return (await cancel(intake, job.job_id)).status_code == 200

        await eventually(cancelled)
        tried_before = tried

        async def acknowledged() -> bool:
            return await outstanding(bus, Stage.FETCH) == 0

        await eventually(acknowledged)
    assert tried == tried_before


@pytest.mark.parametrize("again", ["posted", "replayed"])
async def test_a_cancelled_job_that_is_asked_for_again_is_executed(
    bus: Bus, intake_settings: IntakeSettings, again: str
) -> None:
    handled: list[int] = []

    async def handle(command: Command) -> None:
        handled.append(command.job.generation)

    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
        job_id = UUID(queued["id"])
        assert (await cancel(intake, job_id)).status_code == 200
        if again == "posted":
            assert (await intake.queue(url=SIGNED_URL))["generation"] == 2
        else:
            assert (await intake.http.post(f"/jobs/{job_id}/replay")).status_code == 200
        async with working(bus, Stage.FETCH, handle):
            await eventually(lambda: handled)
    assert handled == [2]


async def test_a_request_that_was_never_answered_is_cancelled_with_the_job(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    """Intake was killed after it had published a command, before the event; the same is posted later."""
    handled: list[int] = []

    async def handle(command: Command) -> None:
        handled.append(command.job.generation)

    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
        job_id = UUID(queued["id"])
        first = intake.context.projection.job(job_id)
        assert first is not None
        unannounced = first.job.model_copy(update={"generation": 2})
        await bus.publish_command(a_fetch(unannounced))
        assert (await cancel(intake, job_id)).status_code == 200
        async with working(bus, Stage.FETCH, handle):

            async def acknowledged() -> bool:
                return await outstanding(bus, Stage.FETCH) == 0

            await eventually(acknowledged)
            assert handled == []
            assert (await intake.queue(url=SIGNED_URL))["generation"] == 3
            await eventually(lambda: handled)
    assert handled == [3]
    assert await bus.last_event(JobReplayed, job_id) is None
    assert await bus.last_event(JobFailed, job_id) is None


@dataclass
class Race:
    """A thousand jobs that workers and a client race for, and what happened in order."""

    happened: dict[UUID, list[str]] = field(default_factory=dict)
    deferred: set[UUID] = field(default_factory=set)
    """Jobs whose attempts are deferred until they are cancelled."""
    delay_s: float = 0.0
    """How long after its command a job is cancelled: adapted so that each side wins half of the time."""

    async def handle(self, command: Command) -> None:
        job_id = command.job.job_id
        self.happened.setdefault(job_id, []).append("handled")
        if job_id in self.deferred:
            raise NoRoom

    async def run_one(self, bus: Bus, intake: RunningIntake, job: Job, *, at_import: bool) -> None:
        await requested(bus, job, at_import=at_import)
        await asyncio.sleep(self.delay_s)
        while True:
            answer = await cancel(intake, job.job_id)
            assert answer.status_code in {200, 409}, answer.text
            self.happened.setdefault(job.job_id, []).append(str(answer.status_code))
            self.delay_s = max(0.0, self.delay_s + (0.001 if answer.status_code == 200 else -0.001))
            if answer.status_code == 200 or job.job_id not in self.deferred:
                return


@pytest.mark.slow
async def test_a_worker_and_a_client_that_cancels_exclude_one_another(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    race = Race()
    jobs = [
        a_job(base_url=f"https://hist.gex.bot/{n}/2025-11-14_NQ_NDX_classic_gex_zero.json")
        for n in range(1000)
    ]
    race.deferred.update(job.job_id for job in jobs[::5])
    room = asyncio.Semaphore(8)

    async def run(number: int, job: Job) -> None:
        async with room:
            await race.run_one(bus, intake, job, at_import=number % 2 == 1)

    async with (
        running_intake(intake_settings) as intake,
        working(bus, Stage.FETCH, race.handle, slots=4),
        working(bus, Stage.IMPORT, race.handle, slots=4),
    ):
        await asyncio.gather(*(run(number, job) for number, job in enumerate(jobs)))

        async def settled() -> bool:
            return not any([await outstanding(bus, stage) for stage in Stage])

        await eventually(settled)
    won: dict[str, int] = {"200": 0, "409": 0}
    for job in jobs:
        happened = race.happened[job.job_id]
        if job.job_id in race.deferred:
            assert happened[-1] == "200", happened  # no attempt after the answer
            continue
        assert happened in (["200"], ["handled", "409"], ["409", "handled"]), happened
        won["200" if "200" in happened else "409"] += 1
    assert min(won.values()) > 100, won
