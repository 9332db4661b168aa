"""Runs are completed whatever intake is killed, and whenever: two processes on a real nats-server."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile
from shared.massive.resources import Snapshots
from tests.support.intake.fake_chronox import FakeChronox, fake_chronox
from tests.support.intake.running import IntakeProcess, intake_process, messages_in, payload_at
from tests.support.poll import eventually

pytestmark = pytest.mark.slow
STRATEGIES: Final = {"AAPL": "flatpack_snapshot_stream", "MSFT": "flatpack_api", "NVDA": "snapshot_stream"}
LEASE: Final = {"GEXLAKE_BARS_RUN_LEASE_S": "3"}
NOVEMBER: Final = {"start": "2025-10-30", "end": "2025-11-14"}
POINTS: Final = (
    "intake.run_owner_written",
    "intake.run_begun",
    "intake.accepted",
    "intake.command_published",
    "intake.event_published",
    "intake.run_job_queued",
    "intake.run_phase_entered",
    "intake.run_ended",
)


@asynccontextmanager
async def ready(process: IntakeProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Provide a client of a process once that knows the symbols."""
    async with httpx.AsyncClient(base_url=process.url, timeout=10) as client:

        async def look() -> bool:
            with suppress(httpx.TransportError):
                return (await client.get("/api/v1/symbols")).is_success
            return False

        await eventually(look, within_s=60)
        yield client


async def symbols_at(client: httpx.AsyncClient) -> dict[str, Any]:
    return {one["symbol"]: one for one in (await client.get("/api/v1/symbols")).json()["symbols"]}


async def add(client: httpx.AsyncClient) -> None:
    body = [{"symbol": symbol, "strategy": strategy} for symbol, strategy in STRATEGIES.items()]
    assert (await client.post("/api/v1/symbols/bulk", json={"symbols": body})).json()["added"] == len(body)


async def execute(client: httpx.AsyncClient) -> None:
    with suppress(httpx.TransportError):  # killed before its answer
        answer = await client.post("/api/v1/registry/execute", json=NOVEMBER)
        assert answer.status_code == 202, answer.text


async def all_completed(client: httpx.AsyncClient) -> dict[str, Any]:
    """Return the symbols once each has a completed run; what was not begun is asked for again."""

    async def look() -> dict[str, Any] | None:
        found = await symbols_at(client)
        if any(one["run"] for one in found.values()):
            return None
        if missing := [symbol for symbol, one in found.items() if one["last_run"] is None]:
            await client.post("/api/v1/registry/execute", json={**NOVEMBER, "symbols": missing})
            return None
        return found

    return await eventually(look, within_s=60)


async def check(client: httpx.AsyncClient, bus: Bus) -> None:
    """Each symbol is idle with a completed run, and each job of bars is in JOBS once."""
    found = await all_completed(client)
    assert {symbol: one["status"] for symbol, one in found.items()} == dict.fromkeys(STRATEGIES, "idle")
    assert {one["last_run"]["outcome"] for one in found.values()} == {"completed"}
    assert [symbol for symbol, one in found.items() if one["streaming"]] == ["AAPL", "NVDA"]
    assert found["AAPL"]["last_backfill"]
    assert found["AAPL"]["last_snapshot"]
    count = await messages_in(bus, subjects.JOBS)
    commands = [await payload_at(bus, subjects.JOBS, number) for number in range(1, count + 1)]
    bars = [
        one.job.base_url for one in commands if isinstance(one, FetchFile) and one.job.endpoint == "ohlcv_1m"
    ]
    assert Counter(bars) == dict.fromkeys(bars, 1)
    assert len(bars) == 4


@pytest.fixture
async def vendor(bus: Bus) -> Any:
    async with fake_chronox(bus) as fake:
        yield fake


@pytest.mark.usefixtures("vendor")
@pytest.mark.parametrize("point", POINTS)
async def test_another_intake_completes_the_runs_of_one_that_is_killed(
    tmp_path: Path, nats_url: str, bus: Bus, point: str
) -> None:
    common = {"GEXLAKE_NATS_URL": nats_url, **LEASE}
    with (
        intake_process(tmp_path, **common, GEXLAKE_FAILPOINT=point) as victim,
        intake_process(tmp_path, **common) as other,
    ):
        async with ready(victim) as client, ready(other) as survivor:
            await add(survivor)
            await eventually(lambda: symbols_at(client))
            await execute(client)
            await eventually(lambda: victim.process.poll() is not None)
            assert victim.process.returncode == -signal.SIGKILL
            await check(survivor, bus)


async def test_a_kill_during_a_take_over_leaves_the_runs_to_the_next(
    tmp_path: Path, nats_url: str, bus: Bus, vendor: FakeChronox
) -> None:
    common = {"GEXLAKE_NATS_URL": nats_url, **LEASE}
    vendor.held.clear()
    with intake_process(tmp_path, **common) as first:
        async with ready(first) as client:
            await add(client)
            await execute(client)
            await eventually(lambda: len(vendor.fetched) >= 5)
        first.end(signal.SIGKILL)
    with intake_process(tmp_path, **common, GEXLAKE_FAILPOINT="intake.run_taken_over") as second:
        await eventually(lambda: second.process.poll() is not None, within_s=60)
    with intake_process(tmp_path, **common) as third:
        vendor.held.set()
        async with ready(third) as client:
            await check(client, bus)
    assert any(isinstance(resource, Snapshots) for resource in vendor.fetched)


async def test_a_suspended_intake_loses_its_runs_and_leaves_them(
    tmp_path: Path, nats_url: str, bus: Bus, vendor: FakeChronox
) -> None:
    common = {"GEXLAKE_NATS_URL": nats_url, **LEASE}
    vendor.held.clear()
    with intake_process(tmp_path, **common) as one, intake_process(tmp_path, **common) as other:
        async with ready(one) as client, ready(other) as survivor:
            await add(client)
            await execute(client)
            before = {symbol: found["run"]["owner"] for symbol, found in (await symbols_at(client)).items()}
            one.process.send_signal(signal.SIGSTOP)

            async def taken_over() -> bool:
                runs = {symbol: found["run"] for symbol, found in (await symbols_at(survivor)).items()}
                return all(run and run["owner"] != before[symbol] for symbol, run in runs.items())

            await eventually(taken_over)
            one.process.send_signal(signal.SIGCONT)
            vendor.held.set()
            await check(survivor, bus)

            async def known() -> bool:  # it reads what it has missed
                return {found["status"] for found in (await symbols_at(client)).values()} == {"idle"}

            await eventually(known)
