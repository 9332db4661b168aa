"""A service's signs of life."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from nats.aio.msg import Msg

import shared
from bench.nats_server import NatsServer, free_port
from shared import subjects
from shared.bus import Bus
from shared.presence import Heartbeat, is_answering, present
from tests.support.poll import eventually

ROOT = Path(__file__).parents[2]


class Busy:
    busy = 3


async def check(url: str, service: str) -> tuple[int | None, str]:
    """Run the containers' health check; return its exit status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.presence",
        service,
        cwd=ROOT,
        env={**os.environ, "GEXLAKE_NATS_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, written.decode()


async def test_a_present_service_beats_and_says_how_busy_it_is(bus: Bus) -> None:
    beats: list[Heartbeat] = []

    async def hear(message: Msg) -> None:
        assert message.subject == "gex.heartbeat.tester"
        beats.append(Heartbeat.model_validate_json(message.data))

    await bus.client.subscribe(subjects.ALL_HEARTBEATS, cb=hear)
    async with present(bus, "tester", "is there", Busy()):
        await eventually(lambda: beats)
    assert (beats[0].service, beats[0].version, beats[0].busy) == ("tester", shared.__version__, 3)
    assert beats[0].started_at <= beats[0].at


async def test_a_ping_is_answered_while_the_service_is_there(bus: Bus) -> None:
    assert not await is_answering(bus.client, "tester")
    async with present(bus, "tester", "is there") as service:
        assert await is_answering(bus.client, "tester")
        assert await is_answering(bus.client, "tester", os.uname().nodename)
        assert service.info().version == shared.__version__
        assert not await is_answering(bus.client, "somebody")
    assert not await is_answering(bus.client, "tester")


async def test_another_hosts_instance_does_not_count_for_this_one(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.presence.PING_TIMEOUT_S", 0.3)
    async with present(bus, "tester", "is there"):
        assert not await is_answering(bus.client, "tester", "another-host")


async def test_the_health_check_exits_0_when_the_service_answers(bus: Bus, nats_server: NatsServer) -> None:
    async with present(bus, "tester", "is there"):
        assert await check(nats_server.url, "tester") == (0, "")


async def test_the_health_check_exits_1_when_nobody_answers(nats_server: NatsServer) -> None:
    assert await check(nats_server.url, "tester") == (1, "")


async def test_the_health_check_says_in_one_line_that_the_broker_is_gone() -> None:
    status, written = await check(f"nats://127.0.0.1:{free_port()}", "tester")
    assert status == 1
    assert written.startswith("tester: the broker does not answer")
    assert written.count("\n") == 1
