"""The health check of the containers, run as they run it."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from simulator.nats_server import free_port
from tests.support.repository import ROOT

USAGE = "usage: python -m shared.bus.reports.health SERVICE\n"


async def check(url: str, *arguments: str) -> tuple[int | None, str]:
    """Run the containers' health check; return its exit status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.bus.reports.health",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "GEXLAKE_NATS_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, written.decode()


async def test_the_health_check_exits_0_when_the_service_answers(bus: Bus, nats_url: str) -> None:
    async with announce_service(bus, "tester", "is there"):
        assert await check(nats_url, "tester") == (0, "")


async def test_the_health_check_exits_1_when_no_service_answers(nats_url: str) -> None:
    assert await check(nats_url, "tester") == (1, "")


async def test_the_health_check_prints_one_line_when_the_broker_is_unreachable() -> None:
    status, written = await check(f"nats://127.0.0.1:{free_port()}", "tester")
    assert status == 1
    assert written.startswith("tester: no connection to the broker")
    assert written.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("tester", "another")])
async def test_the_health_check_prints_its_usage_unless_given_one_service(arguments: tuple[str, ...]) -> None:
    assert await check("nats://127.0.0.1:1", *arguments) == (2, USAGE)


async def test_the_health_check_prints_one_line_for_an_unusable_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEXLAKE_NATS_PORT", "four")
    status, written = await check("nats://127.0.0.1:1", "tester")
    assert status == 1
    assert written.startswith("gexlake: the setting GEXLAKE_NATS_PORT is unusable")
    assert written.count("\n") == 1
