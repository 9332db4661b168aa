"""Nothing lost, nothing twice: real processes are killed between durable steps, then the lake is compared.

The oracle: every job that was answered with success ends completed, every partition has exactly the rows of
its file, Parquet equals the table, and no temporary file is left. One stack serves the whole module, because
starting five processes for each of the points would take longer than the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.generator import Day
from bench.stack import NATS, Stack
from bench.vendor import Vendor
from shared.bus import Bus
from shared.settings import Settings
from tests.support.oracle import assert_holds_exactly, assert_parquet_equals_table
from tests.support.poll import eventually

FAILPOINTS = (
    "intake.accepted",
    "intake.command_published",
    "intake.event_published",
    "fetcher.started",
    "fetcher.downloading",
    "fetcher.file_synced",
    "fetcher.file_staged",
    "fetcher.command_published",
    "fetcher.event_published",
    "importer.started",
    "importer.parquet_written",
    "importer.loaded",
    "importer.committed",
    "importer.parquet_renamed",
    "importer.completed",
    "importer.event_published",
)
SETTINGS = {"GEXLAKE_ACK_WAIT_S": "2", "GEXLAKE_RETRY_DELAY_S": "0.1"}
WITHIN_S = 60.0


@dataclass
class System:
    """A running stack, the vendor beside it, and the days that were posted."""

    stack: Stack
    vendor: Vendor
    folder: Path
    days: list[Day] = field(default_factory=list)

    def new_day(self) -> Day:
        """Offer another day at the vendor's."""
        number = len(self.days)
        day = Day(
            "NQ_NDX", "gex_zero", date(2025, 1, 1) + timedelta(number), snapshots=30, strikes=5, seed=number
        )
        day.write(self.folder / day.file_name)
        self.days.append(day)
        return day

    async def post(self, day: Day) -> str:
        """Post a day as a client that insists: until it is answered with success."""
        async with httpx.AsyncClient(base_url=self.stack.url, trust_env=False, timeout=10) as client:

            async def accepted() -> str:
                body = {"url": self.vendor.url_of(day.file_name), "type": day.endpoint, "ticker": day.ticker}
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.post("/gex_history_url", json=body)
                    return str(answer.json()["id"]) if answer.status_code == httpx.codes.OK else ""
                return ""

            return await eventually(accepted, within_s=WITHIN_S, what=f"the acceptance of {day.file_name}")

    async def finished(self, job_id: str) -> dict[str, Any]:
        """Wait until a job is finished and return it."""
        async with httpx.AsyncClient(base_url=self.stack.url, trust_env=False, timeout=10) as client:

            async def look() -> dict[str, Any]:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(f"/jobs/{job_id}")
                    job: dict[str, Any] = answer.json()
                    return job if job.get("state") in {"completed", "skipped", "failed"} else {}
                return {}

            return await eventually(
                look, within_s=WITHIN_S, what=f"the end of job {job_id}\n{self.stack.tails()}"
            )

    async def started(self, service: str, failpoint: str = "") -> None:
        """Start a service anew, with or without a failpoint."""
        if service in self.stack.processes:
            self.stack.stop_service(service)
        self.stack.start_service(service, {"GEXLAKE_FAILPOINT": failpoint})
        await asyncio.to_thread(self.stack.wait_ready)

    async def assert_whole(self, *days: Day) -> None:
        """Ask the oracle about some days, and about temporary files and Parquet in all."""
        await asyncio.to_thread(self.stack.wait_ready)
        async with lake_bus(self.stack) as bus:
            for day in days:
                await assert_holds_exactly(bus, day)
            await assert_parquet_equals_table(bus)
        await eventually(lambda: not self.temporary_files(), what="the sweep of temporary files")

    def temporary_files(self) -> list[Path]:
        return [path for path in self.stack.data_dir.rglob("*.part") if path.is_file()]


def allowed_ends(victim: str) -> set[str]:
    """Return how a job may end.

    A client that gets no answer because intake died posts again. If the job has been completed meanwhile,
    that is a finished job asked for again, with an unchanged file: skipped.
    """
    return {"completed", "skipped"} if victim == "intake" else {"completed"}


@contextlib.asynccontextmanager
async def lake_bus(stack: Stack) -> AsyncIterator[Bus]:
    bus = await Bus.connect(Settings(nats_url=stack.nats_url), "test")
    try:
        yield bus
    finally:
        await bus.close()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("loss")
    files = folder / "vendor"
    files.mkdir()
    with Vendor(files) as vendor:
        allowed = {"GEXLAKE_ALLOWED_SOURCES": vendor.base_url}
        with Stack(folder / "stack", env={**SETTINGS, **allowed}) as stack:
            yield System(stack, vendor, files)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_a_service_killed_between_durable_steps_loses_and_doubles_nothing(
    system: System, failpoint: str
) -> None:
    service = failpoint.partition(".")[0]
    day = system.new_day()
    await system.started(service, failpoint)
    posting = asyncio.create_task(system.post(day))
    status = await asyncio.to_thread(system.stack.wait_exit, service)
    assert status == -9
    await system.started(service)
    job = await system.finished(await posting)
    assert job["state"] in allowed_ends(service), job
    assert job["failures"] == 0
    await system.assert_whole(day)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_the_broker_killed_between_durable_steps_loses_and_doubles_nothing(
    system: System, failpoint: str, tmp_path: Path
) -> None:
    service = failpoint.partition(".")[0]
    held = tmp_path / "held"
    day = system.new_day()
    await system.started(service, f"{failpoint}=hold:{held}")
    posting = asyncio.create_task(system.post(day))
    await eventually(held.exists, within_s=WITHIN_S, what=f"the failpoint {failpoint}")
    system.stack.kill(NATS)
    system.stack.start_service(NATS)
    held.unlink()
    job = await system.finished(await posting)
    assert job["state"] in allowed_ends(service), job
    await system.assert_whole(day)
    await system.started(service)


async def test_twenty_jobs_survive_random_kills_of_everything(system: System) -> None:
    source = random.Random(20251114)
    days = [system.new_day() for _ in range(20)]
    victims = ["intake", "fetcher", "importer", NATS] * 3
    source.shuffle(victims)

    async def kill_now_and_then() -> None:
        for victim in victims:
            await asyncio.sleep(source.uniform(0.05, 0.6))
            await asyncio.to_thread(system.stack.kill, victim)
            await asyncio.sleep(source.uniform(0.0, 0.2))
            await asyncio.to_thread(system.stack.start_service, victim)

    async def post_after_a_while(day: Day) -> str:
        await asyncio.sleep(source.uniform(0.0, 6.0))
        return await system.post(day)

    killing = asyncio.create_task(kill_now_and_then())
    job_ids = await asyncio.gather(*(post_after_a_while(day) for day in days))
    await killing
    await asyncio.to_thread(system.stack.wait_ready)
    jobs = [await system.finished(job_id) for job_id in job_ids]
    assert len(set(job_ids)) == 20
    assert {job["state"] for job in jobs} <= allowed_ends("intake"), jobs
    await system.assert_whole(*days)
