"""The routes of the schedule, with the janitor's own schedule behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.intake.settings import IntakeSettings
from services.janitor.duty import Counts, Every
from services.janitor.schedule_service import serve_schedule
from services.janitor.scheduler import Scheduler
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from tests.support.intake.running import RunningIntake, running_intake
from tests.support.poll import eventually


class Duty:
    name = "snapshot_refresh"
    trigger = Every(3600)
    rounds = 0

    async def run_once(self) -> Counts:
        self.rounds += 1
        return {"queued": self.rounds}


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as running:
        yield running


@pytest.fixture
async def duty(bus: Bus) -> AsyncIterator[Duty]:
    duty, stop = Duty(), asyncio.Event()
    scheduler = Scheduler([duty])
    async with announce_service(bus, "janitor", "a schedule") as service:
        await serve_schedule(service, scheduler)
        await bus.client.flush()
        task = asyncio.create_task(scheduler.run(stop, 5))
        yield duty
        stop.set()
        await task


async def test_the_schedule_is_shown_stopped_started_and_run_at_once(
    intake: RunningIntake, duty: Duty
) -> None:
    await eventually(lambda: duty.rounds == 1)
    shown = (await intake.http.get("/api/v1/scheduler/status")).json()
    assert (shown["running"], [job["id"] for job in shown["jobs"]]) == (True, ["snapshot_refresh"])
    stopped = await intake.http.post("/api/v1/scheduler/stop")
    assert (stopped.status_code, stopped.json()["running"]) == (200, False)
    run = await intake.http.post("/api/v1/scheduler/jobs/snapshot_refresh/run")
    assert run.status_code == 202
    await eventually(lambda: duty.rounds == 2)
    unknown = await intake.http.post("/api/v1/scheduler/jobs/other/run")
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (404, "job_id")
    started = await intake.http.post("/api/v1/scheduler/start")
    assert started.json()["running"]


async def test_without_a_janitor_the_answer_says_so(intake: RunningIntake) -> None:
    refused = await intake.http.get("/api/v1/scheduler/status")
    assert refused.status_code == 503
    assert "not running" in refused.json()["error"]["message"]
