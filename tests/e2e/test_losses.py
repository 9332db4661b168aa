"""No job is lost or done twice when containers are killed while jobs are posted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

from shared.bus.connection import Bus
from simulator.generator import Day
from tests.support.poll import eventually
from tests.support.system.compose import ComposeStack, local_url
from tests.support.system.oracle import assert_holds_exactly, assert_parquet_equals_table

VICTIMS = ("intake", "fetcher", "importer", "nats")


async def test_twenty_jobs_survive_random_kills_of_everything(stack: ComposeStack) -> None:
    days = [
        Day(ticker="NDX", day=date(2025, 9, 1) + timedelta(number), snapshots=40, strikes=5)
        for number in range(20)
    ]
    for day in days:
        stack.offer(day)
    source = Random(20251114)
    killing = asyncio.create_task(kill_one_by_one(stack, source.sample(VICTIMS * 3, 12), source))
    job_ids = [await post_after_a_while(stack, day, source) for day in days]
    await killing
    jobs = [await stack.finished(job_id) for job_id in job_ids]
    assert len(set(job_ids)) == len(days)
    assert {job["state"] for job in jobs} <= {"completed", "skipped"}, jobs
    async with stack.connected() as bus:
        for day in days:
            await assert_holds_exactly(bus, day)
        await assert_nothing_is_left_over(stack, bus)


async def test_one_job_survives_a_crash_of_every_service_at_a_failpoint(
    stack: ComposeStack,
) -> None:
    day = Day(ticker="NDX", endpoint="gex_one", day=date(2025, 11, 14), snapshots=40, strikes=5)
    stack.offer(day)
    stack.up(
        E2E_FAILPOINT_INTAKE="intake.command_published",
        E2E_FAILPOINT_FETCHER="fetcher.command_published",
        E2E_FAILPOINT_IMPORTER="importer.committed",
    )
    posting = asyncio.create_task(stack.post(local_url(day)))

    def all_are_dead() -> bool:
        return {stack.state(service) for service in ("intake", "fetcher", "importer")} == {"exited"}

    await eventually(all_are_dead, what="the crash of all three")
    await asyncio.to_thread(stack.up)
    job = await stack.finished(await posting)
    # Intake was killed before it answered: the retry may request a job that is already finished.
    assert job["state"] in {"completed", "skipped"}, job
    async with stack.connected() as bus:
        await assert_holds_exactly(bus, day)
        await assert_nothing_is_left_over(stack, bus)


async def kill_one_by_one(stack: ComposeStack, victims: Sequence[str], source: Random) -> None:
    """Kill and restart one container after the other, with random pauses."""
    for victim in victims:
        await asyncio.sleep(source.uniform(0.2, 1.5))
        await asyncio.to_thread(stack.kill, victim)
        await asyncio.sleep(source.uniform(0.0, 0.5))
        await asyncio.to_thread(stack.start, victim)


async def post_after_a_while(stack: ComposeStack, day: Day, source: Random) -> str:
    """Post a day after a random pause, so that the posts spread over the kills."""
    await asyncio.sleep(source.uniform(0.1, 1.0))
    return await stack.post(local_url(day))


async def assert_nothing_is_left_over(stack: ComposeStack, bus: Bus) -> None:
    """Check that no temporary file is left in any volume, and that Parquet equals the table."""

    async def nothing() -> bool:
        left = await asyncio.to_thread(stack.exec, "importer", "find", "/data", "-name", "*.part")
        return not left

    await eventually(nothing, what="the sweep of temporary files")
    await assert_parquet_equals_table(bus)
