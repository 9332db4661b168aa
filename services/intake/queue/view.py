"""The API's view of the queue."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from gexlake.api.jobs import Priority
from gexlake.api.priorities.queue import Queue, QueuedJob, QueueLevel
from services.intake.queue.promises import submitted_at
from services.intake.queue.work_queue import WorkQueue
from shared.bus.reports.presence import HEARTBEAT_INTERVAL_S, Heartbeat
from shared.job_states import JobState

_ALIVE_FOR: Final = timedelta(seconds=3 * HEARTBEAT_INTERVAL_S)


def view_queue(queue: WorkQueue, heartbeats: Iterable[Heartbeat], now: datetime) -> Queue:
    """Return what waits and runs."""
    levels = [_view_level(queue, priority) for priority in Priority]
    return Queue(
        total_queued=sum(level.waiting for level in levels),
        by_priority={level.level: level.waiting for level in levels},
        oldest_request=min((level.oldest for level in levels if level.oldest), default=None),
        processing_capacity=sum(beat.slots or 0 for beat in heartbeats if now - beat.at <= _ALIVE_FOR),
        levels=levels,
    )


def market_symbol(state: JobState) -> str:
    """Return the market symbol of a job's request; the ticker if an older version queued it."""
    return state.request.market_symbol if state.request is not None else state.job.ticker


def _view_level(queue: WorkQueue, priority: Priority) -> QueueLevel:
    level = queue.level(priority)
    return QueueLevel(
        level=priority,
        waiting=level.waiting,
        running=level.running,
        oldest=level.oldest,
        next=[_view_job(state) for state in level.next],
    )


def _view_job(state: JobState) -> QueuedJob:
    job = state.job
    return QueuedJob(
        job_id=job.job_id,
        request_id=job.request_id,
        market_symbol=market_symbol(state),
        ticker=job.ticker,
        endpoint=job.endpoint,
        trading_day=state.trading_day or job.trading_day,
        stage=state.stage,
        priority_score=job.priority_score,
        deadline=job.deadline,
        submitted_at=submitted_at(state),
    )
