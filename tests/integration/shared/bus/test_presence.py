"""Heartbeats and pings of a service."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest
from nats.aio.msg import Msg
from nats.errors import Error

import gexlake
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.reports.presence import Heartbeat, announce_service, is_answering
from simulator.nats_server import NatsServer
from tests.support.poll import eventually


class ThreeInHand:
    busy = 3


async def test_an_announced_service_sends_heartbeats_with_its_workload(bus: Bus) -> None:
    beats: list[Heartbeat] = []

    async def hear(message: Msg) -> None:
        assert message.subject == "gex.heartbeat.tester"
        beats.append(Heartbeat.model_validate_json(message.data))

    await bus.client.subscribe(subjects.ALL_HEARTBEATS, cb=hear)
    async with announce_service(bus, "tester", "is there", ThreeInHand()):
        await eventually(lambda: beats)
    assert (beats[0].service, beats[0].version, beats[0].busy) == ("tester", gexlake.__version__, 3)
    assert beats[0].started_at <= beats[0].at


async def test_a_ping_is_answered_while_the_service_is_announced(bus: Bus) -> None:
    assert not await is_answering(bus.client, "tester")
    async with announce_service(bus, "tester", "is there") as service:
        assert await is_answering(bus.client, "tester")
        assert await is_answering(bus.client, "tester", os.uname().nodename)
        assert service.info().version == gexlake.__version__
        assert not await is_answering(bus.client, "other")
    assert not await is_answering(bus.client, "tester")


async def test_a_lost_broker_does_not_end_the_service(bus: Bus, nats_server: NatsServer) -> None:
    assert nats_server.process is not None
    nats_server.process.send_signal(signal.SIGSTOP)
    async with announce_service(bus, "tester", "is there"):
        nats_server.kill()
        nats_server.start()

        async def answers() -> bool:
            with contextlib.suppress(Error):
                return await is_answering(bus.client, "tester")
            return False

        await eventually(answers)


async def test_an_instance_on_another_host_does_not_answer_for_this_one(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.reports.presence.PING_TIMEOUT_S", 0.3)
    async with announce_service(bus, "tester", "is there"):
        assert not await is_answering(bus.client, "tester", "another-host")
