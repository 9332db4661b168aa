"""Metrics of requests and promises by level, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gexlake.api.jobs import PROMISES, Priority
from services.intake.queue.promises import End, Outcome, Promises, submitted_at
from services.intake.queue.work_queue import WorkQueue
from shared.job_states import JobState

_SECONDS: Final = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)
_LEVEL: Final = ("level",)


class RequestMetrics:
    """Counts requests when they come and when they end for the first time.

    Args:
        registry: of the metrics.
        promises: takes in each change before this does.
        is_live: whether an event is of now, not one of before the start.
    """

    def __init__(self, registry: CollectorRegistry, promises: Promises, is_live: Callable[[], bool]) -> None:
        self._promises = promises
        self._is_live = is_live
        self._requests = Counter("gexlake_requests", "Requests, by level", _LEVEL, registry=registry)
        self._deadlines = Counter(
            "gexlake_deadlines",
            "Promises that were kept or missed",
            (*_LEVEL, "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "gexlake_request_seconds",
            "Seconds from the request to its end, unless it was cancelled",
            _LEVEL,
            buckets=_SECONDS,
            registry=registry,
        )

    def changed(self, before: JobState | None, after: JobState) -> None:
        """Count a change of a job."""
        if not self._is_live() or after.job.request_id is None:
            return
        if before is None or before.job.request_id != after.job.request_id:
            self._requests.labels(after.job.priority).inc()
        end = End.of(after)
        if end is not None and self._promises.has_just_ended(before, after):
            self._count_end(after, end)

    def _count_end(self, state: JobState, end: End) -> None:
        outcome = end.outcome()
        if outcome is Outcome.CANCELLED:
            return
        seconds = max(0.0, (end.at - submitted_at(state)).total_seconds())
        self._seconds.labels(end.level).observe(seconds)
        if end.level in PROMISES:
            self._deadlines.labels(end.level, outcome).inc()


class QueueMetrics(Collector):
    """What waits of each level, read at each scrape."""

    def __init__(self, queue: WorkQueue, clock: Callable[[], datetime]) -> None:
        self._queue = queue
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        waiting = GaugeMetricFamily("gexlake_queue_waiting", "Jobs that no worker has", labels=_LEVEL)
        oldest = GaugeMetricFamily(
            "gexlake_queue_oldest_seconds",
            "Seconds since the oldest unfinished request was submitted; 0 if there is none",
            labels=_LEVEL,
        )
        now = self._clock()
        for priority in Priority:
            level = self._queue.level(priority)
            age_s = (now - level.oldest).total_seconds() if level.oldest else 0.0
            waiting.add_metric((priority,), level.waiting)
            oldest.add_metric((priority,), max(0.0, age_s))
        yield from (waiting, oldest)
