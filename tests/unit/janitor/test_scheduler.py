"""The schedule of the duties."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from structlog.testing import capture_logs

from services.janitor.duty import Counts, Duty
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
        self.interval_s = interval_s
        self.rounds = 0
        self._work = work

    async def run_once(self) -> Counts:
        self.rounds += 1
        return await self._work(self.rounds)


@contextlib.asynccontextmanager
async def running(
    duties: Sequence[Duty], drain_timeout_s: float = 5
) -> AsyncIterator[tuple[Scheduler, asyncio.Event]]:
    scheduler, stop = Scheduler(duties), asyncio.Event()
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
