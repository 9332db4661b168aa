"""Run each duty when the janitor starts and then at its interval, never twice at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from services.janitor.duty import Duty
from shared.errors import GexlakeError

log = structlog.get_logger(__name__)


class Scheduler:
    """Runs the duties until it is stopped.

    A duty that fails is logged and retried in its next round; a round with nothing to do logs nothing.
    """

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties
        self._running: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many duties are running."""
        return len(self._running)

    async def run(self, stop: asyncio.Event, drain_timeout_s: float) -> None:
        """Run the duties until ``stop`` is set, then wait for the running ones and cancel late ones."""
        scheduler = self._scheduler()
        scheduler.start()
        try:
            await stop.wait()
            scheduler.pause()
            if self._running:
                await asyncio.wait(self._running, timeout=drain_timeout_s)
        finally:
            scheduler.shutdown(wait=False)
            # The scheduler cancels late duties in the next iteration of the event loop.
            await asyncio.sleep(0)

    def _scheduler(self) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(timezone=UTC)
        for duty in self._duties:
            scheduler.add_job(
                self._run_round,
                "interval",
                args=[duty],
                id=duty.name,
                seconds=duty.interval_s,
                next_run_time=datetime.now(UTC),
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        return scheduler

    async def _run_round(self, duty: Duty) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (for the type checker: a coroutine runs in a task)
        self._running.add(task)
        try:
            with structlog.contextvars.bound_contextvars(duty=duty.name):
                await _run_duty(duty)
        finally:
            self._running.discard(task)


async def _run_duty(duty: Duty) -> None:
    try:
        counts = await duty.run_once()
    except GexlakeError as error:
        log.warning("duty_failed", error=str(error), again_in_s=duty.interval_s)
    except Exception:
        log.exception("duty_failed", again_in_s=duty.interval_s)
    else:
        if any(counts.values()):
            log.info("duty_done", **counts)
