"""Run each duty when the janitor starts and then as its trigger says, never twice at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import STATE_PAUSED, STATE_RUNNING
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from gexlake.api.chronox.scheduler import JobOutcome, ScheduledJob, SchedulerStatus
from services.janitor.duty import Counts, Daily, Duty
from services.janitor.errors import AlreadyRunning, NoSuchDuty
from shared.errors import GexlakeError

CATCH_UP_S: Final = 60.0
"""How long after the janitor's start duties run that need other services, which are up by then."""

log = structlog.get_logger(__name__)


@dataclass
class _Rounds:
    """The rounds of a duty since the janitor was started."""

    duty: Duty
    started: int = 0
    failed: int = 0
    last_at: datetime | None = None
    last_seconds: float | None = None
    last_error: str | None = None
    last_counts: Counts = field(default_factory=dict)
    is_running: bool = False

    @property
    def outcome(self) -> JobOutcome | None:
        if self.last_seconds is None:
            return None
        return JobOutcome.FAILED if self.last_error else JobOutcome.DONE


class Scheduler:
    """Runs the duties until it is stopped.

    A duty that fails is logged and retried in its next round; a round with nothing to do logs nothing.
    """

    def __init__(self, duties: Sequence[Duty], catch_up_s: float = CATCH_UP_S) -> None:
        self._rounds = {duty.name: _Rounds(duty) for duty in duties}
        self._catch_up_s = catch_up_s
        self._running: set[asyncio.Task[None]] = set()
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    @property
    def busy(self) -> int:
        """How many duties are running."""
        return len(self._running)

    @property
    def status(self) -> SchedulerStatus:
        """Whether duties are started by their triggers, and all of them."""
        is_running = self._scheduler.state == STATE_RUNNING
        return SchedulerStatus(
            running=is_running,
            jobs=tuple(self._view(rounds, is_running=is_running) for rounds in self._rounds.values()),
        )

    def start(self) -> None:
        """Start duties by their triggers again; one that is overdue runs at once."""
        if self._scheduler.state == STATE_PAUSED:
            self._scheduler.resume()
            log.info("scheduler_started")

    def stop(self) -> None:
        """Start no duty by its trigger, until ``start`` or a restart; running ones go on."""
        if self._scheduler.state == STATE_RUNNING:
            self._scheduler.pause()
            log.info("scheduler_stopped")

    def run_now(self, name: str) -> None:
        """Start a round of a duty beside its trigger.

        Raises:
            NoSuchDuty: there is none of this name.
            AlreadyRunning: a round is in progress.
        """
        rounds = self._rounds.get(name)
        if rounds is None:
            raise NoSuchDuty(name, tuple(self._rounds))
        if rounds.is_running:
            raise AlreadyRunning(name)
        task = asyncio.create_task(self._run_round(rounds))
        self._running.add(task)
        task.add_done_callback(self._running.discard)  # also if another round was faster

    async def run(self, stop: asyncio.Event, drain_timeout_s: float) -> None:
        """Run the duties until ``stop`` is set, then wait for the running ones and cancel late ones."""
        for rounds in self._rounds.values():
            self._schedule(rounds)
        self._scheduler.start()
        try:
            await stop.wait()
            self._scheduler.pause()
            if self._running:
                _, late = await asyncio.wait(self._running, timeout=drain_timeout_s)
                for task in late:
                    task.cancel()
        finally:
            self._scheduler.shutdown(wait=False)
            # The scheduler cancels late duties in the next iteration of the event loop.
            await asyncio.sleep(0)

    def _schedule(self, rounds: _Rounds) -> None:
        trigger, first = _trigger_of(rounds.duty, datetime.now(UTC), self._catch_up_s)
        self._scheduler.add_job(
            self._run_round,
            trigger,
            args=[rounds],
            id=rounds.duty.name,
            next_run_time=first,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    def _view(self, rounds: _Rounds, *, is_running: bool) -> ScheduledJob:
        job = self._scheduler.get_job(rounds.duty.name) if is_running else None
        return ScheduledJob(
            id=rounds.duty.name,
            trigger=str(rounds.duty.trigger),
            running=rounds.is_running,
            next_run=job.next_run_time if job else None,
            last_run=rounds.last_at,
            last_seconds=rounds.last_seconds,
            last_outcome=rounds.outcome,
            last_error=rounds.last_error,
            last_counts=dict(rounds.last_counts),
            runs=rounds.started,
            failures=rounds.failed,
        )

    async def _run_round(self, rounds: _Rounds) -> None:
        if rounds.is_running:  # one that was started beside the trigger
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (for the type checker: a coroutine runs in a task)
        self._running.add(task)
        rounds.is_running = True
        rounds.started += 1
        rounds.last_at, began = datetime.now(UTC), time.monotonic()
        try:
            with structlog.contextvars.bound_contextvars(duty=rounds.duty.name):
                await _run_duty(rounds)
        finally:
            rounds.last_seconds = round(time.monotonic() - began, 3)
            rounds.is_running = False
            self._running.discard(task)


def _trigger_of(duty: Duty, now: datetime, catch_up_s: float) -> tuple[BaseTrigger, datetime]:
    """Return when a duty runs, and when for the first time."""
    match duty.trigger:
        case Daily(at):
            daily = CronTrigger(hour=at.hour, minute=at.minute, timezone=UTC)
            return daily, now + timedelta(seconds=catch_up_s)
        case every:
            later_s = 0 if every.at_start else min(every.seconds, catch_up_s)
            return IntervalTrigger(seconds=every.seconds, timezone=UTC), now + timedelta(seconds=later_s)


async def _run_duty(rounds: _Rounds) -> None:
    trigger = str(rounds.duty.trigger)
    try:
        counts = await rounds.duty.run_once()
    except GexlakeError as error:
        rounds.failed, rounds.last_error, rounds.last_counts = rounds.failed + 1, str(error), {}
        log.warning("duty_failed", error=str(error), runs=trigger)
    except Exception as error:
        rounds.failed, rounds.last_error, rounds.last_counts = rounds.failed + 1, repr(error), {}
        log.exception("duty_failed", runs=trigger)
    else:
        rounds.last_error, rounds.last_counts = None, counts
        if any(counts.values()):
            log.info("duty_done", **counts)
