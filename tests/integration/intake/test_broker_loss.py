"""Intake without its broker: HTTP goes on, nothing is promised, and a retry is one job."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from simulator.nats_server import NatsServer
from tests.support.intake.running import SIGNED_URL, RunningIntake, messages_in, running_intake
from tests.support.poll import eventually


@pytest.fixture
def intake_settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url, ack_wait_s=5)


async def refused_in_time(intake: RunningIntake) -> httpx.Response:
    began = time.monotonic()
    answer = await intake.post({"url": SIGNED_URL})
    assert time.monotonic() - began < 5
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert "S3CRET" not in answer.text
    return answer


async def queued_again(intake: RunningIntake) -> bool:
    answer = await intake.post({"url": SIGNED_URL})
    assert answer.status_code in {200, 503}, answer.text
    return answer.status_code == 200 and answer.json()["generation"] == 1


async def is_one_job(intake: RunningIntake, settings: IntakeSettings) -> bool:
    async with connected(settings, "test") as bus:
        one_message = await messages_in(bus, subjects.JOBS) == 1
    return one_message and (await intake.get("/jobs"))["total"] == 1


async def test_the_broker_killed_means_503_and_a_retry_later_is_one_job(
    nats_server: NatsServer, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        nats_server.kill()
        error = (await refused_in_time(intake)).json()["error"]
        assert "the broker did not answer in time" in error["message"]
        assert (await intake.get("/status"))["broker"] == {"connected": False}
        assert (await intake.get("/ready", 503))["reasons"]
        await intake.get("/health")
        assert "gexlake_broker_up 0.0" in (await intake.http.get("/metrics")).text
        nats_server.start()
        await eventually(lambda: queued_again(intake))
        assert await is_one_job(intake, intake_settings)


async def test_a_broker_that_hangs_means_503_in_time_and_a_retry_is_the_same_message(
    nats_server: NatsServer, intake_settings: IntakeSettings
) -> None:
    """The command waits in the broker's socket: it is stored although nobody was told."""
    async with running_intake(intake_settings) as intake:
        with nats_server.frozen():
            await refused_in_time(intake)
        await eventually(lambda: queued_again(intake))
        assert await is_one_job(intake, intake_settings)


async def test_a_full_stream_means_503_with_a_longer_pause(bus: Bus, intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        config = (await bus.js.stream_info(subjects.JOBS)).config
        await bus.js.update_stream(config.evolve(max_bytes=1))
        refused = await refused_in_time(intake)
        assert (refused.json()["error"]["rule"], refused.headers["Retry-After"]) == ("stream_full", "60")
        assert (await intake.get("/jobs"))["total"] == 0


async def test_intake_comes_up_without_a_broker_and_finds_it_later(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "late")
    settings = IntakeSettings(nats_url=server.url, ack_wait_s=5)
    async with running_intake(settings, rebuilt=False) as intake:
        assert await intake.get("/health") == {"status": "healthy", "service": "gex-data-pipeline"}
        await refused_in_time(intake)
        status = await intake.get("/status")
        assert (status["broker"], status["queue"], status["rebuilt"]) == ({"connected": False}, None, False)
        assert (await intake.get("/jobs", 503))["error"]["rule"] == "rebuilding"
        server.start()
        try:
            await eventually(lambda: queued_again(intake))
        finally:
            server.stop()
