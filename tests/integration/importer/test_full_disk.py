"""A disk full at any step of an import: the old partition stands, and with space the job completes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from simulator.generator import Day
from tests.support.importer.full_disk import Disk, disk_at
from tests.support.poll import eventually
from tests.support.system.running import WITHIN_S, System, running_system

pytestmark = pytest.mark.slow

DAY: Final = Day("NQ_NDX", "gex_zero", date(2025, 11, 14), snapshots=2_600)
"""More rows than two row groups of the table have: an insert writes to the database before its commit."""
STRIKE_SUMS: Final = (
    "count(*), sum(round(100 * gamma)::BIGINT), bit_xor(hash(timestamp, strike, gamma, oi_gamma, priors))"
)
SETTINGS: Final = {"GEXLAKE_RETRY_DELAY_S": "0.2"}
MAX_ATTEMPTS: Final = 3
"""The default."""


@dataclass(frozen=True)
class Step:
    """What meets the full disk.

    Args:
        name: of the test's case.
        failpoint: where the import is when the disk fills up.
        room_bytes: how much is left on it.
        path: how the file is read.
        is_replaced: whether the partition has been replaced by then.
    """

    name: str
    failpoint: str
    room_bytes: int = 0
    profile: str = "bounded"
    is_replaced: bool = False


STEPS: Final = (
    Step("records_into_scratch", "importer.started"),
    Step("copy_to_parquet", "importer.started", room_bytes=1_500_000),
    Step("copy_to_parquet_in_large_batches", "importer.started", room_bytes=1_500_000, profile="fast"),
    Step("insert", "importer.parquet_written"),
    Step("commit", "importer.loaded"),
    Step("rename_and_ledger", "importer.committed", is_replaced=True),
    Step("ledger", "importer.parquet_renamed", is_replaced=True),
)


@dataclass
class FullSystem:
    """A system that holds a day, and the disk under it."""

    system: System
    disk: Disk
    held: Day
    seeds: Iterator[int]

    def next_day(self) -> Day:
        """Offer another file of the day."""
        day = replace(self.held, seed=next(self.seeds))
        self.system.offer(day)
        return day

    def start_importer(self, step: Step, held: Path) -> None:
        """Start the importer again; it waits at the step until ``held`` is removed."""
        stack = self.system.stack
        stack.stop_service("importer")
        failpoint = f"{step.failpoint}=hold:{held}"
        stack.start_service(
            "importer", {"GEXLAKE_FAILPOINT": failpoint, "GEXLAKE_MEMORY_PROFILE": step.profile}
        )
        stack.wait_ready()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullSystem]:
    folder = tmp_path_factory.mktemp("full_disk")
    with disk_at(folder / "stack" / "data") as disk, running_system(folder, SETTINGS) as system:
        yield asyncio.run(with_a_day(system, disk))


async def with_a_day(system: System, disk: Disk) -> FullSystem:
    """Bring a day in."""
    system.offer(DAY)
    assert (await system.import_day(DAY))["state"] == "completed"
    return FullSystem(system, disk, DAY, count(2))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
async def test_a_disk_full_at_a_step_leaves_the_old_partition_and_the_job_completes_once_there_is_space(
    full: FullSystem, step: Step, tmp_path: Path
) -> None:
    system, held = full.system, tmp_path / "held"
    await asyncio.to_thread(full.start_importer, step, held)
    day = full.next_day()
    job_id = await system.post(day)
    await eventually(held.exists, within_s=WITHIN_S, what=f"the failpoint {step.failpoint}")
    full.disk.fill(system.stack, step.room_bytes)
    held.unlink()
    try:
        job = await attempted(system, job_id)
        if not step.is_replaced:
            assert job["state"] == "staged"
            assert "it is tried again until there is space" in job["error"]
            assert job["failures"] == 0
        await assert_holds(system, day if step.is_replaced else full.held)
    finally:
        full.disk.free(system.stack)
    job = await system.finished(job_id)
    assert (job["state"], job["error"], job["failures"]) == ("completed", None, 0)
    full.held = day
    await assert_holds(system, day)
    await eventually(lambda: not system.temporary_files(), what="the end of temporary files")


async def test_an_importer_that_is_stopped_on_a_full_disk_comes_back_with_all_it_held(
    full: FullSystem,
) -> None:
    system, day = full.system, full.next_day()
    assert (await system.import_day(day))["state"] == "completed"
    full.held = day
    full.disk.fill(system.stack, 0)
    try:
        status = await asyncio.to_thread(system.stack.stop_service, "importer")
    finally:
        system.stack.start_service("importer")
        full.disk.free(system.stack)
    await asyncio.to_thread(system.stack.wait_ready)
    assert status == 0
    await assert_holds(system, day)


async def attempted(system: System, job_id: str) -> dict[str, Any]:
    """Wait until the job was deferred as often as it may fail, or is completed, and return it."""
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:

        async def look() -> dict[str, Any]:
            job: dict[str, Any] = (await client.get(f"/jobs/{job_id}")).json()
            was_put_off = job["error"] and job["attempts"] > MAX_ATTEMPTS
            return job if was_put_off or job["state"] in {"completed", "failed"} else {}

        return await eventually(look, within_s=WITHIN_S, what=lambda: f"an end\n{system.stack.tails()}")


async def assert_holds(system: System, day: Day) -> None:
    """Check the count and the sums of a day's rows, and that Parquet has the rows of the table."""
    snapshots, strikes = sums_of(day)
    query = "SELECT count(*), sum(round(100 * spot_price)::BIGINT) FROM gex_snapshots"
    assert await system.sql(query) == [snapshots]
    table, parquet = [
        (await system.sql(f"SELECT {STRIKE_SUMS} FROM {name}"))[0]
        for name in ("gex_strikes", "parquet_gex_strikes")
    ]
    assert table == parquet
    assert table[:2] == strikes


@cache
def sums_of(day: Day) -> tuple[list[int], list[int]]:
    """Return the counts of a day's snapshots and strike rows, each with a sum: of prices, and of gamma."""
    records = list(day.records())
    spots = sum(round(100 * record["spot"]) for record in records)
    gamma = sum(round(100 * row[1]) for record in records for row in record["strikes"])
    return [day.snapshots, spots], [day.strike_rows, gamma]
