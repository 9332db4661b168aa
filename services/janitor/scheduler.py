"""The rounds: each duty at once when the janitor starts, then at its interval, never twice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from services.janitor.duty import Duty
from shared.errors import GexlakeError

log = structlog.get_logger(__name__)


class Rounds:
    """Does the duties until told to stop.

    A duty that fails is logged and tried again in its next round; one that had nothing to do logs nothing.
    """

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties
        self._in_hand: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many duties are at work."""
        return len(self._in_hand)

    async def run(self, stop: asyncio.Event, drain_timeout_s: float) -> None:
        """Do the duties until ``stop`` is set, then let what is at work finish, or give it up."""
        scheduler = self._scheduler()
        scheduler.start()
        try:
            await stop.wait()
            scheduler.pause()
            if self._in_hand:
                await asyncio.wait(self._in_hand, timeout=drain_timeout_s)
        finally:
            scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it ends in the next turn of the loop, and cancels what is late

    def _scheduler(self) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(timezone=UTC)
        for duty in self._duties:
            scheduler.add_job(
                self._round,
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

    async def _round(self, duty: Duty) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (for the type checker: a coroutine runs in a task)
        self._in_hand.add(task)
        try:
            with structlog.contextvars.bound_contextvars(duty=duty.name):
                await _do(duty)
        finally:
            self._in_hand.discard(task)


async def _do(duty: Duty) -> None:
    try:
        counts = await duty.run_once()
    except GexlakeError as error:
        log.warning("duty_failed", error=str(error), again_in_s=duty.interval_s)
    except Exception:
        log.exception("duty_failed", again_in_s=duty.interval_s)
    else:
        if any(counts.values()):
            log.info("duty_done", **counts)
