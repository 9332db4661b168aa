"""A backfill of two weeks through the whole system is killed half-way and started again.

The fetchers send one request a second to the vendor's API, which is why it takes long.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import httpx
import pytest

from simulator.generator import Day
from simulator.stack import NATS, SERVICES, Stack
from simulator.vendor import Vendor
from simulator.vendor_api import FakeVendorApi
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.system.running import SETTINGS, System

pytestmark = pytest.mark.slow

START: Final = date(2025, 10, 29)
END: Final = date(2025, 11, 14)
CALENDAR: Final = tuple(START + timedelta(ahead) for ahead in range((END - START).days + 1))
TRADING: Final = tuple(day for day in CALENDAR if day.isoweekday() <= 5)
"""Between these two, no weekday was a holiday of the exchange."""
MISSING: Final = frozenset({date(2025, 10, 31), date(2025, 11, 12)})
DAYS: Final = tuple(
    Day("NQ_NDX", "gex_zero", day, snapshots=10, strikes=3, seed=number)
    for number, day in enumerate(TRADING)
    if day not in MISSING
)
COMMAND: Final = (sys.executable, "-m", "gexlake.cli", "backfill", "NQ_NDX", "gex_zero", str(START), str(END))
WITHIN_S: Final = 120.0


@dataclass
class Scene:
    """The system with two fetchers, and the vendor's API."""

    system: System
    api: FakeVendorApi

    def command(self) -> subprocess.Popen[str]:
        """Start the command in a process of its own."""
        return subprocess.Popen(
            COMMAND,
            cwd=self.system.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GEXLAKE_URL": self.system.stack.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    async def run_to_the_end(self) -> tuple[int, list[list[str]]]:
        """Run the command to its end; return its exit status and the words of its lines."""
        running = self.command()
        try:
            out, _ = await asyncio.to_thread(running.communicate, timeout=WITHIN_S)
        finally:
            running.kill()
        return running.returncode, [line.split() for line in out.splitlines()]

    async def finished_days(self) -> set[date]:
        """Return the days whose jobs are completed or skipped."""
        async with httpx.AsyncClient(base_url=self.system.stack.url, trust_env=False, timeout=10) as client:
            jobs = (await client.get("/jobs", params={"limit": 500})).json()["jobs"]
        done = {"completed", "skipped"}
        return {date.fromisoformat(job["trading_day"]) for job in jobs if job["state"] in done}

    def start(self) -> None:
        for service in SERVICES:
            self.system.stack.start_service(service)
        self.system.stack.start_service("fetcher", instance=2)
        self.system.stack.wait_ready()

    def kill_everything(self) -> None:
        for service in SERVICES:
            self.system.stack.kill(service)
        self.system.stack.kill("fetcher", instance=2)
        self.system.stack.kill(NATS)

    def requested(self) -> Counter[date]:
        """Count the requests to the API for each day."""
        return Counter(request.partition.trading_day for request in self.api.requests if request.partition)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    files = tmp_path / "vendor"
    files.mkdir()
    for day in DAYS:
        day.write(files / day.file_name)
    with Vendor(files) as vendor, FakeVendorApi(vendor, missing=MISSING) as api:
        settings = {
            **SETTINGS,
            "GEXLAKE_ALLOWED_SOURCES": vendor.base_url,
            "GEXLAKE_VENDOR_API": api.base,
            "GEXBOT_API_KEY": api.key,
        }
        with Stack(tmp_path / "stack", env=settings) as stack:
            stack.start_service("fetcher", instance=2)
            yield Scene(System(stack, vendor, files), api)


async def test_a_backfill_that_is_killed_half_way_requests_only_missing_days_when_started_again(
    scene: Scene,
) -> None:
    done = await killed_half_way(scene)
    status, lines = await scene.run_to_the_end()
    assert status == 0, lines
    imported, skipped, without_data, failed = counts_in(lines)
    assert imported + skipped == len(DAYS)
    assert imported > 0
    assert skipped >= len(done - MISSING)
    assert (without_data, failed) == (len(MISSING), 0)
    assert days_without_data(lines) == set(map(str, MISSING))

    requested = scene.requested()
    assert sorted(requested) == list(TRADING)
    assert {requested[day] for day in done} == {1}
    assert scene.api.statuses.keys() == {200, 404}
    assert all(later.at_s - earlier.at_s >= 1 for earlier, later in pairwise(scene.api.requests))
    await scene.system.assert_whole(*DAYS)

    before = len(scene.api.requests)
    status, lines = await scene.run_to_the_end()
    assert (status, counts_in(lines)) == (0, [0, len(DAYS), len(MISSING), 0])
    assert len(scene.api.requests) == before


async def killed_half_way(scene: Scene) -> set[date]:
    """Kill the command and all services half-way, and return the days that were finished."""
    first = scene.command()
    try:
        await eventually(
            lambda: len(scene.api.requests) >= len(TRADING) // 2,
            within_s=WITHIN_S,
            what=lambda: f"half of the backfill\n{scene.system.stack.tails()}",
        )
        done = await scene.finished_days()
    finally:
        first.kill()
        first.communicate()
    await asyncio.to_thread(scene.kill_everything)
    await asyncio.to_thread(scene.system.stack.start_service, NATS)
    await asyncio.to_thread(scene.start)
    assert 0 < len(done) < len(TRADING)
    return done


def days_without_data(lines: list[list[str]]) -> set[str]:
    rows = [line for line in lines if line[:4] == ["NQ_NDX", "gex_zero", "no", "data"]]
    return {word.rstrip(",") for row in rows for word in row if word.startswith("2025-")}


def counts_in(lines: list[list[str]]) -> list[int]:
    """Return the numbers of the last table: imported, skipped, no data, failed."""
    rows = [line[2:] for line in lines if line[:2] == ["NQ_NDX", "gex_zero"]]
    return next([int(word) for word in row] for row in reversed(rows) if all(map(str.isdigit, row)))
