"""The schedule of the duties."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import time

import pytest
from structlog.testing import capture_logs

from services.janitor.duty import Counts, Daily, Duty, Every, Trigger
from services.janitor.errors import AlreadyRunning, NoSuchDuty
from services.janitor.scheduler import Scheduler
from services.janitor.settings import JanitorSettings
from shared.errors import CannotStart, Transient
from shared.process.settings import load
from tests.support.poll import eventually

Round = Callable[[int], Awaitable[Counts]]


class Recorded:
    """A duty that counts its rounds and does what the test says."""

    def __init__(self, work: Round, interval_s: float = 0.02, name: str = "recorded") -> None:
        self.name = name
        self.trigger: Trigger = Every(interval_s)
        self.rounds = 0
        self._work = work

    async def run_once(self) -> Counts:
        self.rounds += 1
        return await self._work(self.rounds)


@contextlib.asynccontextmanager
async def running(
    duties: Sequence[Duty], drain_timeout_s: float = 5, catch_up_s: float = 60
) -> AsyncIterator[tuple[Scheduler, asyncio.Event]]:
    scheduler, stop = Scheduler(duties, catch_up_s), asyncio.Event()
    task = asyncio.create_task(scheduler.run(stop, drain_timeout_s))
    try:
        yield scheduler, stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def nothing(_: int) -> Counts:
    return {"removed": 0}


async def test_a_duty_runs_at_the_start_whatever_its_interval() -> None:
    duty = Recorded(nothing, interval_s=3600)
    async with running([duty]):
        await eventually(lambda: duty.rounds)
    assert duty.rounds == 1


async def test_a_duty_runs_at_its_interval() -> None:
    duty = Recorded(nothing)
    async with running([duty]):
        await eventually(lambda: duty.rounds >= 3)


@pytest.mark.parametrize("error", [Transient("not now"), ValueError("a bug")])
async def test_a_failing_duty_is_logged_and_retried_and_delays_no_other(error: Exception) -> None:
    async def fail(_: int) -> Counts:
        raise error

    failing, other = Recorded(fail, name="failing"), Recorded(nothing, name="other")
    with capture_logs() as lines:
        async with running([failing, other]):
            await eventually(lambda: failing.rounds >= 3 and other.rounds >= 3)
    assert {line["event"] for line in lines} == {"duty_failed"}


async def test_an_idle_duty_logs_nothing_and_a_busy_one_its_counts() -> None:
    async def once(number: int) -> Counts:
        return {"removed": 2 if number == 2 else 0, "freed_bytes": 0}

    duty = Recorded(once)
    with capture_logs() as lines:
        async with running([duty]):
            await eventually(lambda: duty.rounds >= 4)
    assert [(line["event"], line["removed"]) for line in lines] == [("duty_done", 2)]


async def test_a_long_duty_never_runs_twice_at_the_same_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="apscheduler")
    other = Recorded(nothing, name="other")
    at_once: list[int] = []
    release = asyncio.Event()

    async def long(_: int) -> Counts:
        at_once.append(scheduler.busy)
        await release.wait()
        return {}

    duty = Recorded(long, name="long")
    async with running([duty, other]) as (scheduler, _):
        await eventually(lambda: other.rounds >= 5)
        assert duty.rounds == 1
        assert scheduler.busy >= 1
        release.set()
        await eventually(lambda: duty.rounds >= 2)


async def test_a_running_duty_finishes_before_the_janitor_stops() -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    async def long(number: int) -> Counts:
        begun.set()
        await release.wait()
        finished.append(number)
        return {}

    async with running([Recorded(long, interval_s=3600)]) as (scheduler, stop):
        await asyncio.wait_for(begun.wait(), 10)
        stop.set()
        await eventually(lambda: scheduler.busy == 1)
        release.set()
    assert finished == [1]


async def test_a_duty_that_outlasts_the_drain_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="apscheduler")
    begun = asyncio.Event()
    ended: list[str] = []

    async def never_ends(_: int) -> Counts:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("given up")
        return {}

    async with running([Recorded(never_ends, interval_s=3600)], drain_timeout_s=0.05):
        await asyncio.wait_for(begun.wait(), 10)
    await eventually(lambda: ended)


async def test_a_janitor_stopped_before_its_start_runs_no_duty() -> None:
    duty, stop = Recorded(nothing), asyncio.Event()
    stop.set()
    await asyncio.wait_for(Scheduler([duty]).run(stop, 1), 10)
    assert duty.rounds == 0


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("GEXLAKE_STAGED_RETENTION_DAYS", "staged_retention_days", 14),
        ("GEXLAKE_PRUNE_INTERVAL_S", "prune_interval_s", 3600),
        ("GEXLAKE_STRANDED_AFTER_S", "stranded_after_s", 600),
        ("GEXLAKE_REQUEUE_INTERVAL_S", "requeue_interval_s", 60),
        ("GEXLAKE_SNAPSHOT_REFRESH_S", "snapshot_refresh_s", 300),
        ("GEXLAKE_STREAM_MONITORING_S", "stream_monitoring_s", 60),
    ],
)
def test_each_setting_has_its_name_and_default(
    monkeypatch: pytest.MonkeyPatch, name: str, field: str, value: float
) -> None:
    assert getattr(load(JanitorSettings), field) == value
    monkeypatch.setenv(name, "5")
    assert getattr(load(JanitorSettings), field) == 5
    monkeypatch.setenv(name, "-1")
    with pytest.raises(CannotStart, match=f"the setting {name} is unusable"):
        load(JanitorSettings)


def test_gaps_are_looked_for_at_midnight_unless_another_time_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(JanitorSettings).gap_detection_at == time(0, 0)
    monkeypatch.setenv("GEXLAKE_GAP_DETECTION_AT", "06:30")
    assert load(JanitorSettings).gap_detection_at == time(6, 30)


async def test_a_daily_duty_catches_up_after_the_start_and_then_waits_for_its_time() -> None:
    duty, later = Recorded(nothing, name="daily"), Recorded(nothing, name="later")
    duty.trigger, later.trigger = Daily(time(0, 0)), Every(3600, at_start=False)
    async with running([duty, later], catch_up_s=0.05) as (scheduler, _):
        assert (duty.rounds, later.rounds) == (0, 0)
        await eventually(lambda: duty.rounds == 1 and later.rounds == 1)
        job, _ = scheduler.status.jobs
    assert job.trigger == "daily at 00:00 UTC"
    assert job.next_run is not None
    assert (job.next_run.hour, job.next_run.minute) == (0, 0)


async def test_a_stopped_schedule_starts_no_duty_until_it_is_started_again() -> None:
    duty = Recorded(nothing)
    async with running([duty]) as (scheduler, _):
        await eventually(lambda: duty.rounds)
        scheduler.stop()
        await eventually(lambda: scheduler.busy == 0)
        before = duty.rounds
        await asyncio.sleep(0.1)
        assert (duty.rounds, scheduler.status.running) == (before, False)
        assert scheduler.status.jobs[0].next_run is None
        scheduler.start()
        await eventually(lambda: duty.rounds > before)
        assert scheduler.status.running


async def test_a_duty_can_be_run_beside_its_schedule_but_not_twice() -> None:
    release = asyncio.Event()

    async def long(number: int) -> Counts:
        if number == 2:
            await release.wait()
        return {"removed": number}

    duty = Recorded(long, interval_s=3600)
    async with running([duty]) as (scheduler, _):
        await eventually(lambda: duty.rounds == 1 and not scheduler.busy)
        scheduler.stop()
        for _ in range(2):  # before the first of them has begun
            scheduler.run_now("recorded")
        await eventually(lambda: duty.rounds == 2)
        assert scheduler.status.jobs[0].running
        with pytest.raises(AlreadyRunning):
            scheduler.run_now("recorded")
        with pytest.raises(NoSuchDuty, match="use one of recorded"):
            scheduler.run_now("other")
        release.set()
        await eventually(lambda: not scheduler.busy)
        (job,) = scheduler.status.jobs
    assert (job.runs, job.failures, job.last_outcome, job.last_counts) == (2, 0, "done", {"removed": 2})


async def test_the_status_has_the_error_of_the_last_round() -> None:
    async def fail(_: int) -> Counts:
        raise Transient("not now")

    async with running([Recorded(fail, interval_s=3600)]) as (scheduler, _):
        await eventually(lambda: scheduler.status.jobs[0].last_outcome)
        (job,) = scheduler.status.jobs
    assert (job.last_outcome, job.last_error, job.failures) == ("failed", "not now", 1)
