"""How well estimates foretell, in virtual time, and what they are with little known."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from statistics import median

import pytest

from gexlake.api.jobs import PROMISES, Priority, Stage, deadline_after
from services.intake.queue.estimates import TYPICAL_BYTES, Estimates
from services.intake.queue.rates import ArrivalRate, CompletionRate
from services.intake.queue.work_queue import WorkQueue
from services.intake.queue.work_times import WorkTimes
from services.intake.state.sources.view import KnownSources
from shared.bus.follower import Followed
from shared.bus.messages import Event
from shared.job_states import JobStates
from shared.sources.record import SourceRecord
from tests.support.intake.events import imported, numbered, requested, staged, started
from tests.support.scheduling.consumer import SimulatedJob
from tests.support.scheduling.observed import EstimatedRun, SimulatedFile
from tests.support.values import BASE_URL, NOON

CRITICAL, HIGH, MEDIUM, LOW = Priority
SMALL, LARGE = 2_000_000, 609_000_000


def run_of(moments: list[tuple[float, Priority, int]], seed: int = 1) -> EstimatedRun:
    """Return a run of requests (when, level, bytes), with durations that vary as measured ones do."""
    random, jobs, files = Random(seed), [], {}
    for number, (asked_s, level, size) in enumerate(sorted(moments)):
        varied = random.lognormvariate(0, 0.3)
        fetch_s, import_s = (4.0, 40.0) if size == LARGE else (0.12 * varied, 0.11 * varied)
        jobs.append(SimulatedJob(number, level, asked_s, source=0, fetch_s=fetch_s, import_s=import_s))
        endpoint = "gex_full" if size == LARGE else "gex_zero"
        files[number] = SimulatedFile(numbered(number, level, asked_s, endpoint=endpoint), size, size // 64)
    run = EstimatedRun(jobs, files, fetchers=4)
    run.run()
    return run


def arrivals(every_s: dict[Priority, float], until_s: float) -> list[tuple[float, Priority, int]]:
    random, found = Random(2), []
    for level, mean_s in every_s.items():
        at_s = random.expovariate(1 / mean_s)
        while at_s < until_s:
            found.append((at_s, level, SMALL))
            at_s += random.expovariate(1 / mean_s)
    return found


def test_estimates_of_a_flood_are_near_what_came() -> None:
    flood = [(number / 200, LOW, SMALL) for number in range(1500)]
    run = run_of(flood + arrivals({CRITICAL: 3, HIGH: 3, MEDIUM: 2}, 200))
    for level in Priority:
        errors = [
            abs(run.estimated_s[job.number] - job.waited_s) / job.waited_s
            for job in run.jobs
            if job.priority is level
        ]
        assert median(errors) <= 0.25, level


def test_broken_promises_are_foretold_and_kept_ones_are_not() -> None:
    """A burst of CRITICAL requests that is over capacity, and large imports that each take 40 s."""
    steady = arrivals({CRITICAL: 2}, 400) + [(at_s, HIGH, LARGE) for at_s in (20.0, 120.0, 320.0)]
    run = run_of(steady + [(220 + number / 100, CRITICAL, SMALL) for number in range(600)])
    promise_s = PROMISES[CRITICAL].total_seconds()
    critical = [(job.waited_s, run.estimated_s[job.number]) for job in run.jobs if job.priority is CRITICAL]
    missed = [estimated_s > promise_s for waited_s, estimated_s in critical if waited_s > promise_s]
    kept = [estimated_s > promise_s for waited_s, estimated_s in critical if waited_s <= promise_s]
    assert len(missed) > 100
    assert sum(missed) / len(missed) >= 0.8
    assert sum(kept) / len(kept) <= 0.1


class Learned:
    """Estimates that have seen some events."""

    def __init__(self) -> None:
        self.now = NOON
        self.queue, self.sources, self._states = WorkQueue(), KnownSources(), JobStates()
        self.estimates = Estimates(self.queue, self.sources, lambda: self.now)

    def see(self, event: Event, after_s: float) -> None:
        before = self._states.by_id.get(event.job.job_id)
        after = self._states.apply(event, NOON + timedelta(seconds=after_s))
        self.queue.changed(before, after)
        self.estimates.changed(before, after)

    def seconds(self, level: Priority = HIGH, endpoint: str = "gex_zero", url: str = BASE_URL) -> float:
        return self.estimates.of("NQ_NDX", endpoint, url, level, deadline_after(level, self.now)).seconds


@pytest.fixture
def learned() -> Learned:
    return Learned()


def test_with_nothing_known_a_file_has_the_usual_size_of_a_day(learned: Learned) -> None:
    assert learned.seconds() == pytest.approx(0.2 + TYPICAL_BYTES / 20e6 + 0.1 + TYPICAL_BYTES / 64 / 1.2e6)


@pytest.mark.parametrize("is_late", [False, True], ids=["in order", "the import's start came first"])
def test_the_next_file_of_an_endpoint_takes_as_long_as_the_last(learned: Learned, *, is_late: bool) -> None:
    job = numbered(1, HIGH)
    learned.see(requested(job), 0)
    learned.see(started(job), 1)
    middle: list[tuple[Event, float]] = [(staged(job, 3_000_000), 5.0), (started(job, Stage.IMPORT), 5.0)]
    for event, at_s in reversed(middle) if is_late else middle:
        learned.see(event, at_s)
    learned.see(imported(job, 100, 50_000), 7)
    assert learned.seconds() == pytest.approx(4 + 2, rel=0.01)
    assert learned.seconds(endpoint="gex_one") > 12  # its size is not known


def test_a_request_waits_for_the_open_circuit_of_its_source(learned: Learned) -> None:
    record = SourceRecord(base_url="https://hist.gex.bot", open_until=NOON + timedelta(minutes=10))
    before_s = learned.seconds()
    learned.sources.take(Followed(1, "gex.source.x", record.model_dump_json().encode()))
    assert learned.seconds() == pytest.approx(before_s + 600)
    assert learned.seconds(url="https://example.com/a.json") == pytest.approx(before_s)


def test_a_request_to_a_deactivated_source_is_expected_to_miss_every_deadline(learned: Learned) -> None:
    record = SourceRecord(base_url="https://hist.gex.bot").deactivated("key:ba7816bf", NOON)
    learned.sources.take(Followed(1, "gex.source.x", record.model_dump_json().encode()))
    assert learned.seconds() > timedelta(days=1).total_seconds()


def test_a_late_import_is_expected_to_take_a_third_of_its_time_more(learned: Learned) -> None:
    known_s = learned.seconds()
    job = numbered(1, LOW)
    for event, at_s in ((requested(job), 0), (started(job), 0), (staged(job, TYPICAL_BYTES), 1)):
        learned.see(event, at_s)
    fetched_s = learned.seconds()
    assert fetched_s < known_s
    learned.see(started(job, Stage.IMPORT), 1)
    learned.now = NOON + timedelta(seconds=301)
    assert learned.seconds() - fetched_s == pytest.approx(100, abs=5)


def test_a_flood_of_small_files_does_not_change_what_large_ones_take() -> None:
    times = WorkTimes(fixed_s=0.1, per_unit_s=1e-6)
    assert times.seconds(50e6) == pytest.approx(50.1)
    times.observe(50e6, 100.2)
    for _ in range(1000):
        times.observe(1e4, 0.11 / 4)
    assert times.seconds(50e6) == pytest.approx(100.2)
    assert times.seconds(1e4) == pytest.approx(0.11 / 4)
    assert times.seconds(20e6) == pytest.approx(40.2)  # as the nearest size does


def test_the_rate_of_completions_counts_time_with_a_backlog_only() -> None:
    rate = CompletionRate()
    for number in range(10):
        rate.advance(number * 100.0, has_backlog=False)
        rate.advance(number * 100.0 + 2, has_backlog=True)
        rate.completed()
    assert rate.per_s == pytest.approx(0.5)


def test_the_rate_of_arrivals_fades() -> None:
    rate = ArrivalRate()
    for second in range(600):
        rate.arrived(float(second))
    assert rate.per_s(600) == pytest.approx(1, rel=0.05)
    assert rate.per_s(1200) < 0.01
