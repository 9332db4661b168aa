"""Which jobs are stranded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import FINISHED, Priority, Stage, Status
from services.janitor.duties.requeue_stranded_jobs import (
    CommandPosition,
    ConsumerProgress,
    RecentReplay,
    RequeueConfig,
    RequeueStrandedJobs,
    commands_of,
    plan,
)
from services.janitor.errors import IntakeUnavailable, ReplayRefused
from shared.bus.messages import FileStaged, JobReplayed, JobRequested, JobStarted
from shared.bus.subjects import durable
from shared.job_states import JobState, JobStates
from tests.support.values import NOON, a_job, a_skip

NOW = NOON + timedelta(hours=3)
CONFIG = RequeueConfig(stranded_after=timedelta(seconds=600), max_jobs=20, interval_s=60)
IDLE = ConsumerProgress(delivered=100, ack_floor=100, to_deliver=0, unacknowledged=0)
BUSY = ConsumerProgress(delivered=100, ack_floor=80, to_deliver=5, unacknowledged=3)
ALL_IDLE = {durable(stage, priority): IDLE for stage in Stage for priority in Priority}


def a_state(**changes: Any) -> JobState:
    values: dict[str, Any] = {
        "job": a_job(),
        "status": Status.STARTED,
        "stage": Stage.FETCH,
        "created_at": NOON,
        "updated_at": NOON,
        "fetch_command_seq": 7,
        **changes,
    }
    return JobState(**values)


def all_stored(*states: JobState) -> dict[CommandPosition, bool]:
    return {command: True for state in states for command in commands_of(state)}


def stranded(
    state: JobState,
    consumers: Mapping[str, ConsumerProgress] = ALL_IDLE,
    stored: Mapping[CommandPosition, bool] | None = None,
    replayed: Mapping[UUID, RecentReplay] | None = None,
    now: datetime = NOW,
) -> bool:
    return bool(
        plan([state], consumers, all_stored(state) if stored is None else stored, replayed or {}, now, CONFIG)
    )


def fetches(progress: ConsumerProgress) -> dict[str, ConsumerProgress]:
    return {**ALL_IDLE, "fetch_medium": progress}


@pytest.mark.parametrize(
    ("sequence", "progress", "stored", "gone"),
    [
        (7, IDLE, True, True),  # acknowledged, and nothing came of it
        (7, IDLE, False, True),  # purged or expired
        (100, IDLE, True, True),
        (80, BUSY, True, True),  # at the ack floor
        (81, BUSY, True, False),  # in a worker's hands, or acknowledged behind one that is
        (81, BUSY, False, True),
        (100, BUSY, True, False),
        (101, BUSY, True, False),  # waiting in a long queue
        (101, BUSY, False, False),  # seen as gone once the queue has passed its place
        (90, ConsumerProgress(100, 80, 5, 0), True, True),
        (90, ConsumerProgress(100, 80, 0, 1), True, False),
        (101, IDLE, True, True),  # the consumer will never deliver it
        (101, IDLE, False, True),
        (101, ConsumerProgress(100, 80, 0, 1), True, False),
        (0, IDLE, True, True),  # its place is unknown, and there is nothing it could be
        (0, BUSY, True, False),
        (0, ConsumerProgress(100, 100, 1, 0), True, False),
        (0, ConsumerProgress(100, 99, 0, 1), True, False),
    ],
)
def test_a_silent_job_is_stranded_when_its_command_is_gone(
    sequence: int, progress: ConsumerProgress, stored: bool, gone: bool
) -> None:
    state = a_state(fetch_command_seq=sequence)
    lookups = dict.fromkeys(commands_of(state), stored)
    assert stranded(state, fetches(progress), lookups) == gone


@pytest.mark.parametrize(("silent_s", "is_stale"), [(0, False), (600, False), (601, True)])
def test_a_job_with_a_recent_event_is_not_stranded(silent_s: float, is_stale: bool) -> None:
    assert stranded(a_state(updated_at=NOW - timedelta(seconds=silent_s))) == is_stale


@pytest.mark.parametrize("status", sorted(FINISHED))
def test_a_finished_job_is_not_stranded(status: Status) -> None:
    assert not stranded(a_state(status=status))


@pytest.mark.parametrize("status", [Status.PENDING, Status.STARTED, Status.STAGED])
def test_any_unfinished_job_may_be_stranded(status: Status) -> None:
    assert stranded(a_state(status=status))


def test_either_command_can_advance_a_job_in_its_import() -> None:
    state = a_state(stage=Stage.IMPORT, status=Status.STAGED, import_command_seq=9)
    assert stranded(state)
    assert not stranded(state, {**ALL_IDLE, "import_medium": ConsumerProgress(8, 8, 1, 0)})
    assert not stranded(state, {**ALL_IDLE, "fetch_medium": ConsumerProgress(10, 5, 0, 1)})


def test_an_import_of_an_older_generation_cannot_advance_a_job_in_its_fetch() -> None:
    state = a_state(import_command_seq=3)
    assert stranded(state, {**ALL_IDLE, "import_medium": ConsumerProgress(2, 2, 5, 0)})


def test_the_sequence_of_an_older_generations_command_is_not_used() -> None:
    one, two = a_job(), a_job(generation=2)
    states = JobStates()
    states.apply(JobRequested(job=one, command_seq=7, url_sha256="a" * 64), NOON)
    states.apply(a_skip(one), NOON)
    state = states.apply(JobStarted(job=two, stage=Stage.FETCH, start=1), NOON)  # intake died before it told
    assert not stranded(state, fetches(BUSY))
    assert stranded(state)
    requested = states.apply(JobRequested(job=two, command_seq=9, url_sha256="b" * 64), NOON)
    assert stranded(requested, fetches(BUSY))


def test_an_import_command_without_its_event_is_not_confused_with_an_older_one() -> None:
    one, two = a_job(), a_job(generation=2)
    states = JobStates()
    staged = {"staged_path": "p", "size_bytes": 1, "sha256": "a" * 64}
    states.apply(FileStaged(job=one, command_seq=8, **staged), NOON)
    states.apply(JobRequested(job=two, command_seq=9, url_sha256="b" * 64), NOON)
    state = states.apply(JobStarted(job=two, stage=Stage.IMPORT, start=1), NOON)
    assert not stranded(state, {**ALL_IDLE, "import_medium": BUSY})
    assert stranded(state)


def test_a_replayed_import_does_not_wait_for_a_fetch() -> None:
    states = JobStates()
    states.apply(JobRequested(job=a_job(), command_seq=7, url_sha256="a" * 64), NOON)
    replayed = JobReplayed(job=a_job(generation=2), stage=Stage.IMPORT, replay_of="job", command_seq=90)
    assert stranded(states.apply(replayed, NOON), fetches(BUSY))


def test_only_the_consumer_of_its_priority_can_deliver_a_command() -> None:
    state = a_state(job=a_job(priority=Priority.LOW), fetch_command_seq=101)
    assert stranded(state, fetches(BUSY))
    assert not stranded(state, {**ALL_IDLE, "fetch_low": BUSY})


def test_a_deleted_consumer_is_expected_to_deliver_everything_again() -> None:
    others = {name: progress for name, progress in ALL_IDLE.items() if name != "fetch_medium"}
    assert not stranded(a_state(), others)


def test_a_job_that_was_not_looked_up_waits_for_another_round() -> None:
    assert not stranded(a_state(), stored={})


@pytest.mark.parametrize(
    ("generation", "until", "again"),
    [(1, NOW + timedelta(seconds=1), False), (1, NOW, True), (2, NOW + timedelta(days=1), True)],
)
def test_a_generation_is_not_replayed_again_too_soon(generation: int, until: datetime, again: bool) -> None:
    state = a_state()
    assert stranded(state, replayed={state.job.job_id: RecentReplay(generation, until)}) == again


def test_a_round_is_bounded_and_requeues_the_longest_silent_first() -> None:
    states = [
        a_state(job=a_job(ticker=f"T{minutes}"), updated_at=NOW - timedelta(minutes=minutes))
        for minutes in (20, 90, 11, 40)
    ]
    config = RequeueConfig(stranded_after=timedelta(seconds=600), max_jobs=2, interval_s=60)
    planned = plan(states, ALL_IDLE, all_stored(*states), {}, NOW, config)
    assert [state.job.ticker for state in planned] == ["T90", "T40"]


@given(
    sequence=st.integers(0, 20),
    ack_floor=st.integers(0, 20),
    ahead=st.integers(0, 20),
    to_deliver=st.integers(0, 3),
    unacknowledged=st.integers(0, 3),
    stored=st.booleans(),
)
def test_a_command_that_is_pending_or_unacknowledged_is_never_stranded(
    sequence: int, ack_floor: int, ahead: int, to_deliver: int, unacknowledged: int, stored: bool
) -> None:
    delivered = ack_floor + ahead
    progress = ConsumerProgress(delivered, ack_floor, to_deliver, unacknowledged)
    state = a_state(fetch_command_seq=sequence)
    if stranded(state, fetches(progress), dict.fromkeys(commands_of(state), stored)):
        assert not (sequence > delivered and to_deliver)
        assert not (stored and ack_floor < sequence <= delivered and unacknowledged)
        assert sequence or progress.is_idle


class World:
    """Jobs, queues and intake, in memory."""

    def __init__(self, *states: JobState) -> None:
        self.states: Sequence[JobState] = states
        self.progress: Mapping[str, ConsumerProgress] = ALL_IDLE
        self.lookups: list[CommandPosition] = []
        self.replayed: list[UUID] = []
        self.answer: Exception | None = None
        self.now = NOW

    async def as_of_now(self) -> Sequence[JobState]:
        return self.states

    async def consumers(self) -> Mapping[str, ConsumerProgress]:
        return self.progress

    async def stores(self, command: CommandPosition) -> bool:
        self.lookups.append(command)
        return True

    async def replay(self, job_id: UUID) -> None:
        self.replayed.append(job_id)
        if self.answer is not None:
            raise self.answer

    def duty(self, config: RequeueConfig = CONFIG) -> RequeueStrandedJobs:
        return RequeueStrandedJobs(config, self, self, self, lambda: self.now)


async def test_a_stranded_job_is_requeued_once_until_its_event_arrives() -> None:
    state = a_state()
    world = World(state)
    duty = world.duty()
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert world.replayed == [state.job.job_id]


async def test_a_refused_job_is_not_replayed_again_within_a_day() -> None:
    state = a_state()
    world = World(state)
    world.answer = ReplayRefused(state.job.job_id, 404, "its message has expired")
    duty = world.duty()
    assert await duty.run_once() == {"requeued": 0, "refused": 1}
    world.now += timedelta(hours=23)
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    world.now += timedelta(hours=1)
    assert await duty.run_once() == {"requeued": 0, "refused": 1}


async def test_a_refused_job_that_was_requested_again_is_examined_again() -> None:
    state = a_state()
    world = World(state)
    world.answer = ReplayRefused(state.job.job_id, 404, "its message has expired")
    duty = world.duty()
    await duty.run_once()
    world.states, world.answer = [a_state(job=a_job(generation=2))], None
    assert await duty.run_once() == {"requeued": 1, "refused": 0}


async def test_a_round_ends_when_intake_is_unavailable_and_the_next_one_retries() -> None:
    states = [a_state(job=a_job(ticker=ticker)) for ticker in ("A", "B")]
    world = World(*states)
    world.answer = IntakeUnavailable("it is not running")
    duty = world.duty()
    with pytest.raises(IntakeUnavailable):
        await duty.run_once()
    assert len(world.replayed) == 1
    world.answer = None
    assert await duty.run_once() == {"requeued": 2, "refused": 0}


async def test_a_long_queue_is_not_looked_up_message_by_message() -> None:
    waiting = [
        a_state(job=a_job(ticker=f"T{number}"), fetch_command_seq=101 + number) for number in range(50)
    ]
    world = World(*waiting)
    world.progress = fetches(ConsumerProgress(100, 99, 50, 1))
    assert await world.duty().run_once() == {"requeued": 0, "refused": 0}
    assert world.lookups == []


async def test_a_round_is_bounded_in_look_ups_and_in_replays() -> None:
    world = World(*(a_state(job=a_job(ticker=f"T{number}")) for number in range(9)))
    config = RequeueConfig(timedelta(seconds=600), max_jobs=2, interval_s=60, max_lookups=5)
    assert await world.duty(config).run_once() == {"requeued": 2, "refused": 0}
    assert len(world.lookups) == 5
