"""What became of requests, and what is counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from gexlake.api.jobs import Priority
from gexlake.api.priorities.queue import SlaLevel
from services.intake.errors import Unprocessable
from services.intake.queue.metrics import QueueMetrics, RequestMetrics
from services.intake.queue.promises import Promises, view_sla, window_of
from services.intake.queue.work_queue import WorkQueue
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from shared.bus.messages import Event, Job, JobCancelled
from tests.support.intake.events import failed, imported, numbered, requested, started
from tests.support.values import NOON, a_request

CRITICAL, HIGH, MEDIUM, LOW = Priority


class Seen:
    """A projection with what is made of it."""

    def __init__(self) -> None:
        self.is_live = True
        self.registry = CollectorRegistry()
        self.queue, self.promises = WorkQueue(), Promises()
        metrics = RequestMetrics(self.registry, self.promises, lambda: self.is_live)
        on_change = (self.queue.changed, self.promises.changed, metrics.changed)
        self.projection = Projection(lambda: NOON, Metrics(), on_change, (self.promises.forget,))

    def see(self, *events: Event, after_s: float = 0) -> None:
        for event in events:
            self.projection.apply(event, at(after_s))

    def request(
        self, number: int, level: Priority, asked_s: float = 0, estimated_s: float | None = None
    ) -> Job:
        """Take a request of a job."""
        request_id = UUID(int=number)
        job = numbered(number, level, asked_s, request_id=request_id)
        request = a_request(request_id=request_id, submitted_at=at(asked_s), estimated_s=estimated_s)
        self.see(requested(job, request), after_s=asked_s)
        return job

    def sla(self, level: Priority, now_s: float = 60, window: str = "1h") -> SlaLevel:
        """Return the figures of a level."""
        found = view_sla(self.projection.requests, self.promises, window, at(now_s))
        return next(one for one in found.levels if one.level is level)

    def value(self, name: str, **labels: str) -> float:
        """Return a sample of the metrics."""
        return self.registry.get_sample_value(name, labels) or 0


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_a_promise_is_kept_by_the_deadline_and_missed_after_it(seen: Seen) -> None:
    for number, end_s in enumerate((10, 30, 31)):
        seen.see(imported(seen.request(number, CRITICAL)), after_s=end_s)
    seen.see(failed(seen.request(7, CRITICAL), final=True), after_s=1)
    seen.see(JobCancelled(job=seen.request(8, CRITICAL)), after_s=40)
    seen.request(9, CRITICAL, 50)
    found = seen.sla(CRITICAL)
    assert (found.count, found.kept, found.missed, found.open, found.cancelled) == (6, 2, 2, 1, 1)
    assert (found.p50_seconds, found.p95_seconds, found.max_seconds) == (30, 31, 31)
    assert seen.sla(CRITICAL, now_s=81).missed == 3  # the open one, whose deadline has passed


def test_low_has_no_promise_but_durations(seen: Seen) -> None:
    seen.see(imported(seen.request(1, LOW)), after_s=50)
    found = seen.sla(LOW)
    assert (found.count, found.kept, found.missed, found.promise_seconds) == (1, None, None, None)
    assert found.max_seconds == 50


def test_a_miss_is_foretold_by_an_estimate_after_the_deadline(seen: Seen) -> None:
    for number, estimated_s in enumerate((20, 31, None)):
        seen.see(imported(seen.request(number, CRITICAL, estimated_s=estimated_s)), after_s=45)
    found = seen.sla(CRITICAL)
    assert (found.missed, found.missed_foretold) == (3, 1)


def test_only_requests_of_the_window_count(seen: Seen) -> None:
    seen.request(1, HIGH)
    seen.request(2, HIGH, 90)
    assert seen.sla(HIGH, now_s=100, window="1m").count == 1


def test_a_job_that_is_done_again_ended_the_first_time(seen: Seen) -> None:
    job = seen.request(1, CRITICAL)
    seen.see(started(job), imported(job), after_s=5)
    again = job.model_copy(update={"generation": 2, "requested_at": at(500)})
    seen.see(requested(again), after_s=500)
    assert seen.sla(CRITICAL, 501).kept == 1
    seen.see(imported(again), after_s=900)
    assert (seen.sla(CRITICAL, 901).kept, seen.sla(CRITICAL, 901).max_seconds) == (1, 5)
    assert seen.value("gexlake_deadlines_total", level="critical", outcome="kept") == 1
    assert seen.value("gexlake_deadlines_total", level="critical", outcome="missed") == 0


def test_metrics_count_each_request_once_and_only_while_intake_runs(seen: Seen) -> None:
    seen.is_live = False
    seen.see(imported(seen.request(1, HIGH)), after_s=1)
    seen.is_live = True
    job = seen.request(2, HIGH)
    seen.see(requested(job), started(job), imported(job), imported(job), after_s=400)
    seen.see(JobCancelled(job=seen.request(3, HIGH)), after_s=400)
    assert seen.value("gexlake_requests_total", level="high") == 2
    assert seen.value("gexlake_request_seconds_sum", level="high") == 400
    assert seen.value("gexlake_request_seconds_count", level="high") == 1
    assert seen.value("gexlake_deadlines_total", level="high", outcome="missed") == 1


def test_metrics_show_what_waits(seen: Seen) -> None:
    seen.request(1, LOW)
    seen.see(started(seen.request(2, LOW, 5)))
    seen.registry.register(QueueMetrics(seen.queue, lambda: at(30)))
    assert seen.value("gexlake_queue_waiting", level="low") == 1
    assert seen.value("gexlake_queue_oldest_seconds", level="low") == 30


@pytest.mark.parametrize(("text", "days"), [("24h", 1), ("1440m", 1), ("30d", 30)])
def test_windows(text: str, days: int) -> None:
    assert window_of(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "0h", "24", "31d", "-1h", "1h30m", "999999h", "1s", "1\u0661h"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable, match="such as 24h"):
        window_of(text)
