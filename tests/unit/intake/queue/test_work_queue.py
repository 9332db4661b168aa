"""The unfinished jobs in the order of the work, event by event."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Priority, Stage, deadline_after
from services.intake.queue.work_queue import WorkQueue
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from shared.bus.envelope import TimedEvent
from shared.bus.follower import FollowedEvent
from shared.bus.messages import Event, Job, JobCancelled
from shared.job_states import JobState
from shared.massive.resources import MassiveUrls, MinuteBars
from tests.support.intake.events import failed, numbered, requested, staged, started
from tests.support.values import NOON, a_job, a_request

CRITICAL, HIGH, MEDIUM, LOW = Priority
PROMISED = timedelta(minutes=5)


def projection_of(queue: WorkQueue) -> Projection:
    return Projection(lambda: NOON, Metrics(), (queue.changed,), (queue.forget,))


def queue_after(*events: Event) -> WorkQueue:
    queue = WorkQueue()
    projection = projection_of(queue)
    for event in events:
        projection.apply(event, NOON)
    return queue


def jobs_of(states: tuple[JobState, ...]) -> list[Job]:
    return [state.job for state in states]


@given(st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 400)), max_size=30), st.data())
def test_positions_are_those_of_the_sorted_jobs(
    asked: list[tuple[Priority, int]], data: st.DataObject
) -> None:
    jobs = [numbered(number, priority, at) for number, (priority, at) in enumerate(asked)]
    queue = queue_after(*map(requested, jobs))
    level, at = data.draw(st.tuples(st.sampled_from(Priority), st.integers(0, 400)))
    deadline = deadline_after(level, NOON + timedelta(seconds=at))
    levels = list(Priority)

    def is_ahead(job: Job) -> bool:
        if job.priority is not level:
            return levels.index(job.priority) < levels.index(level)
        return deadline is None or (job.deadline is not None and job.deadline < deadline)

    assert queue.position(level, deadline) == 1 + sum(map(is_ahead, jobs))
    assert queue.depth == len(jobs)
    for priority in Priority:
        own = [job for job in jobs if job.priority is priority]
        view = queue.level(priority)
        assert view.waiting == len(own)
        assert [job.requested_at for job in jobs_of(view.next)] == sorted(job.requested_at for job in own)[
            :10
        ]
        assert view.oldest == min((job.requested_at for job in own), default=None)


def test_a_job_that_a_worker_has_does_not_wait_until_it_is_staged() -> None:
    job = numbered(1, HIGH)
    queue = WorkQueue()
    projection = projection_of(queue)
    seen = []
    for event in (requested(job), started(job), staged(job), started(job, Stage.IMPORT)):
        projection.apply(event, NOON)
        view = queue.level(HIGH)
        seen.append((view.waiting, view.running, queue.position(LOW, None)))
    assert seen == [(1, 0, 2), (0, 1, 1), (1, 0, 2), (0, 1, 1)]


def test_jobs_that_ended_leave_the_queue() -> None:
    jobs = [numbered(number, HIGH) for number in range(3)]
    ends = (started(jobs[0]), failed(jobs[0], final=True), JobCancelled(job=jobs[1]))
    queue = queue_after(*map(requested, jobs), *ends)
    assert jobs_of(queue.level(HIGH).next) == [jobs[2]]
    assert queue.depth == 1


def test_an_attempt_that_failed_waits_again() -> None:
    job = numbered(1, HIGH)
    queue = queue_after(requested(job), started(job), failed(job))
    assert jobs_of(queue.level(HIGH).next) == [job]


def test_a_job_moves_to_the_level_of_its_newest_generation() -> None:
    first, raised = numbered(1, LOW), numbered(1, CRITICAL, generation=2)
    queue = queue_after(requested(first), requested(raised))
    assert (queue.level(LOW).waiting, jobs_of(queue.level(CRITICAL).next)) == (0, [raised])


def test_the_oldest_request_counts_from_its_submission_not_from_its_override() -> None:
    submitted = NOON - timedelta(hours=1)
    raised = numbered(1, HIGH, 60, request_id=a_request().request_id)
    queue = queue_after(requested(raised, a_request(submitted_at=submitted)), requested(numbered(2, HIGH, 0)))
    assert queue.level(HIGH).oldest == submitted
    assert jobs_of(queue.level(HIGH).next)[1] == raised


def test_a_job_of_an_older_version_is_due_by_its_request() -> None:
    old = numbered(1, HIGH, deadline=None)
    queue = queue_after(requested(old))
    assert queue.position(HIGH, NOON + PROMISED - timedelta(seconds=1)) == 1
    assert queue.position(HIGH, NOON + PROMISED + timedelta(seconds=1)) == 2


def test_jobs_that_end_in_their_fetch_are_before_no_import() -> None:
    bars = MinuteBars("AAPL", NOON.date(), NOON.date())
    job = a_job(endpoint=bars.endpoint, base_url=MassiveUrls().base_url_of(bars), priority=HIGH)
    queue = queue_after(requested(numbered(1, HIGH)), requested(job))
    assert (queue.ahead(Stage.FETCH, LOW, None), queue.ahead_of_import(LOW, None)) == (2, 1)
    for event in (started(job), JobCancelled(job=job)):
        queue = queue_after(requested(numbered(1, HIGH)), requested(job), event)
        assert (queue.ahead(Stage.FETCH, LOW, None), queue.ahead_of_import(LOW, None)) == (1, 1)


def test_what_events_forget_leaves_the_queue() -> None:
    queue = WorkQueue()
    projection = projection_of(queue)
    later = NOON + timedelta(days=31)
    for event, at in ((requested(numbered(1, LOW)), NOON), (requested(numbered(2, HIGH)), later)):
        follow(projection, event, at)
    assert (queue.depth, queue.level(LOW).waiting) == (1, 0)


def follow(projection: Projection, event: Event, at: datetime) -> None:
    projection._on_event(FollowedEvent(1, TimedEvent(event, at), caught_up=True))
