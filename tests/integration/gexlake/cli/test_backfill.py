"""``gexlake backfill`` against a real intake: to the end of every day, and again after it was cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date
from typing import Any

import pytest

from gexlake.api.jobs import Stage
from gexlake.cli.__main__ import main
from gexlake.cli.backfill import command
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, Job, JobFailed, NoData, PartitionImported
from tests.support.intake.fake_importer import FakeImporter, fake_importer
from tests.support.intake.running import RunningIntake, messages_in, payload_at, running_intake
from tests.support.poll import eventually

WEEK = ("NQ_NDX", "gex_zero", "2025-11-10", "2025-11-14")
Say = Callable[..., Coroutine[Any, Any, tuple[int, list[list[str]]]]]


@pytest.fixture
async def importer(bus: Bus) -> AsyncIterator[FakeImporter]:
    async with fake_importer(bus) as fake:
        yield fake


@pytest.fixture
async def intake(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as running:
        monkeypatch.setenv("GEXLAKE_URL", str(running.http.base_url))
        monkeypatch.setattr(command, "POLL_S", 0.02)
        yield running


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run ``gexlake backfill``; return its exit status and the words of each line."""

    def run(arguments: tuple[str, ...]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(("backfill", *arguments))
        return int(ended.value.code or 0)

    async def in_thread(*arguments: str) -> tuple[int, list[list[str]]]:
        status = await asyncio.to_thread(run, arguments)
        return status, [line.split() for line in capsys.readouterr().out.splitlines()]

    return in_thread


async def queued(bus: Bus, count: int) -> dict[date | None, Job]:
    """Wait until so many jobs are queued, and return them by day, of each the newest generation."""

    async def are_there() -> bool:
        return await messages_in(bus, subjects.JOBS) == count

    await eventually(are_there)
    jobs: dict[date | None, Job] = {}
    for number in range(1, count + 1):
        command_there = await payload_at(bus, subjects.JOBS, number)
        assert isinstance(command_there, FetchFile)
        jobs[command_there.job.trading_day] = command_there.job
    return jobs


def imported(job: Job) -> PartitionImported:
    assert job.trading_day is not None
    return PartitionImported(
        job=job,
        trading_day=job.trading_day,
        sha256="0" * 64,
        snapshots=3,
        strike_rows=30,
        parquet_path="NQ_NDX/gex_zero/x.strikes.parquet",
        parquet_bytes=1_000,
        parquet_sha256="0" * 64,
    )


@pytest.mark.usefixtures("intake")
async def test_each_day_has_an_outcome_and_a_second_backfill_fetches_only_the_missing_one(
    bus: Bus, importer: FakeImporter, say: Say
) -> None:
    running = asyncio.create_task(say(*WEEK))
    jobs = await queued(bus, 5)
    *good, gone, bad = jobs.values()
    for job in good:
        await bus.publish_event(imported(job))
    await bus.publish_event(NoData(job=gone, reason="the vendor has none"))
    await bus.publish_event(
        JobFailed(job=bad, stage=Stage.FETCH, failures=3, final=True, error="the key is bad")
    )
    status, lines = await running
    assert status == 1
    assert ["NQ_NDX", "gex_zero", "3", "0", "1", "1"] in lines
    assert any(line[-4:] == ["the", "key", "is", "bad"] for line in lines)
    importer.days = {str(job.trading_day): "held" for job in good}
    again = asyncio.create_task(say(*WEEK))
    newest = (await queued(bus, 6))[bad.trading_day]
    assert newest.generation == 2
    await bus.publish_event(imported(newest))
    status, lines = await again
    assert status == 0
    assert ["NQ_NDX", "gex_zero", "1", "3", "1", "0"] in lines


@pytest.mark.usefixtures("importer")
async def test_days_whose_jobs_go_on_are_followed_by_the_command_when_it_is_started_again(
    bus: Bus, intake: RunningIntake, say: Say
) -> None:
    assert (await say(*WEEK, "--no-wait"))[0] == 0
    jobs = await queued(bus, 5)
    again = asyncio.create_task(say(*WEEK))

    async def is_followed() -> bool:
        return 'method="GET",route="/jobs",status="200"' in (await intake.http.get("/metrics")).text

    await eventually(is_followed)
    for job in jobs.values():
        await bus.publish_event(imported(job))
    status, lines = await again
    assert status == 0
    assert ["NQ_NDX", "gex_zero", "5", "0", "0", "0"] in lines
    assert await messages_in(bus, subjects.JOBS) == 5
    assert (await intake.get("/jobs"))["total"] == 5
