"""The whole system as processes beside a vendor, for tests to post days and check the lake."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx

from shared.bus.connection import Bus
from shared.process.settings import Settings
from simulator.generator import Day
from simulator.stack import NATS, Stack
from simulator.vendor import Vendor
from tests.support.poll import eventually
from tests.support.system.oracle import assert_holds_exactly, assert_parquet_equals_table, query_lake

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
        """Let the vendor serve another day."""
        number = len(self.days)
        a_day = date(2025, 1, 1) + timedelta(number)
        day = Day("NQ_NDX", "gex_zero", a_day, snapshots=30, strikes=5, seed=number)
        self.days.append(day)
        self.offer(day)
        return day

    def offer(self, day: Day, content: bytes | None = None) -> None:
        """Let the vendor serve a day's file, or other content under its name; replace an older file."""
        path = self.folder / day.file_name
        if content is None:
            day.write(path)
        else:
            path.write_bytes(content)

    async def post(self, day: Day, query: str = "sig=secret-signature", **more: Any) -> str:
        """Post a day until it is accepted, and return the job's id."""
        async with httpx.AsyncClient(base_url=self.stack.url, trust_env=False, timeout=10) as client:

            async def accepted() -> str:
                url = self.vendor.url_of(day.file_name, query)
                body = {"url": url, "type": day.endpoint, "ticker": day.ticker, **more}
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
                look, within_s=WITHIN_S, what=lambda: f"the end of job {job_id}\n{self.stack.tails()}"
            )

    async def import_day(self, day: Day, **more: Any) -> dict[str, Any]:
        """Post a day and return its job once it is finished."""
        return await self.finished(await self.post(day, **more))

    async def sql(self, query: str) -> list[list[Any]]:
        """Return the rows of a query."""
        async with connection_to(self.stack) as bus:
            return await query_lake(bus, query)

    async def restart(self, service: str, failpoint: str = "") -> None:
        """Restart a service, with or without a failpoint."""
        if service in self.stack.processes:
            self.stack.stop_service(service)
        self.stack.start_service(service, {"GEXLAKE_FAILPOINT": failpoint})
        await asyncio.to_thread(self.stack.wait_ready)

    async def assert_whole(self, *days: Day) -> None:
        """Check the rows of some days, and that there are no temporary files and Parquet equals the table."""
        await asyncio.to_thread(self.stack.wait_ready)
        async with connection_to(self.stack) as bus:
            for day in days:
                await assert_holds_exactly(bus, day)
            await assert_parquet_equals_table(bus)
        await eventually(lambda: not self.temporary_files(), what="the sweep of temporary files")

    def temporary_files(self) -> list[Path]:
        data_dir = self.stack.data_dir
        hidden = [path for path in data_dir.rglob("*.part") if path.is_file()]
        scratch = data_dir / ".scratch"
        return [*hidden, *scratch.glob("import-*"), *scratch.glob("query-*")]


@contextlib.contextmanager
def running_system(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[System]:
    """Run a stack and a vendor below ``folder``, with ``settings`` for every service."""
    files = folder / "vendor"
    files.mkdir()
    with Vendor(files) as vendor:
        allowed = {"GEXLAKE_ALLOWED_SOURCES": vendor.base_url}
        with Stack(folder / "stack", env={**SETTINGS, **allowed, **(settings or {})}) as stack:
            yield System(stack, vendor, files)
        assert_nothing_was_refused(stack)


def assert_nothing_was_refused(stack: Stack) -> None:
    """Check that every service may use the subjects that it used.

    A broker that was restarted does not know the requests of before: it refuses the replies, which nothing
    awaits any more.
    """
    log = stack.log_of(NATS).read_text(errors="replace")
    replies = 'Publish Violation - Subject "_INBOX' if log.count("Server is ready") > 1 else "none"
    refused = [line for line in log.splitlines() if "Violation" in line and replies not in line]
    assert refused == [], refused


@contextlib.asynccontextmanager
async def connection_to(stack: Stack) -> AsyncIterator[Bus]:
    """Connect to a stack's broker from outside."""
    bus = await Bus.connect(Settings(nats_url=stack.nats_url), "test")
    try:
        yield bus
    finally:
        await bus.close()
