"""The consumer loop on a real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta

import pytest
from nats.aio.msg import Msg

from gexlake.api.jobs import Priority, Stage, Status
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer import attempts, dead_letters
from shared.bus.consumer import worker as loop
from shared.bus.consumer.attempts import Retries
from shared.bus.consumer.execution import Handler
from shared.bus.consumer.worker import Worker
from shared.bus.follower import follow_events
from shared.bus.messages import FetchFile, JobCancelled, JobFailed, JobRequested, JobStarted
from shared.bus.streams import EVENTS_KEPT_PER_SUBJECT
from shared.errors import BrokerUnavailable, Deferred, Terminal, Transient
from shared.job_states import JobStates
from simulator.nats_server import NatsServer
from tests.support.poll import eventually
from tests.support.values import NOON, a_fetch, a_job


@contextlib.asynccontextmanager
async def working(bus: Bus, handle: Handler, slots: int = 1) -> AsyncIterator[Worker]:
    worker = Worker(bus, Stage.FETCH, handle, slots=slots, retries=Retries(max_attempts=3, delay_s=0.05))
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop, drain_timeout_s=1))
    try:
        yield worker
    finally:
        stop.set()
        await task


async def outstanding(bus: Bus, priority: Priority = Priority.MEDIUM) -> int:
    info = await bus.js.consumer_info(subjects.JOBS, subjects.durable(Stage.FETCH, priority))
    return (info.num_ack_pending or 0) + (info.num_pending or 0)


async def dead_letter_count(bus: Bus) -> int:
    return (await bus.js.stream_info(subjects.DEAD)).state.messages


async def test_a_command_is_handled_once_and_acknowledged(bus: Bus) -> None:
    seen: list[FetchFile] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command)

    async with working(bus, handle):
        await bus.publish_command(a_fetch())
        await bus.publish_command(a_fetch())  # the same message id: the broker drops it
        await eventually(lambda: seen)

        async def acknowledged() -> bool:
            return await outstanding(bus) == 0

        await eventually(acknowledged)
    assert [command.url.get_secret_value() for command in seen] == [a_fetch().url.get_secret_value()]


async def test_a_command_that_is_announced_before_it_is_stored_does_not_wait_for_the_poll(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "POLL_S", 3600)
    seen = asyncio.Event()

    async def handle(_: FetchFile) -> None:
        seen.set()

    async with working(bus, handle) as worker:
        take, pulls = worker._windows.take, 0

        async def take_too_early(free_slots: int) -> Msg | None:
            nonlocal pulls
            pulls += 1
            return None if pulls == 1 else await take(free_slots)

        await asyncio.sleep(0.2)  # the first pull is over
        monkeypatch.setattr(worker._windows, "take", take_too_early)
        await bus.publish_command(a_fetch())
        async with asyncio.timeout(10):
            await seen.wait()
    assert pulls > 1


async def test_a_terminal_error_becomes_one_dead_letter_that_names_the_field(bus: Bus) -> None:
    async def handle(_: FetchFile) -> None:
        error = Terminal("record 3 has no timestamp in https://h/f.json?sig=secret")
        error.field, error.is_refusal = "timestamp", True
        raise error

    async with working(bus, handle):
        await bus.publish_command(a_fetch())

        async def letter() -> bool:
            return await dead_letter_count(bus) == 1 and await outstanding(bus) == 0

        await eventually(letter)
    message = await bus.js.get_msg(subjects.DEAD, seq=1)
    failed = await bus.last_event(JobFailed, a_job().job_id)
    assert message.headers is not None
    assert message.headers[dead_letters.FIELD] == "timestamp"
    assert "secret" not in message.headers[dead_letters.REASON]
    assert failed is not None
    assert (failed.final, failed.field, failed.dead_letter_seq, failed.failures) == (True, "timestamp", 1, 1)
    assert failed.refused


@pytest.mark.parametrize("error", [Terminal("bad"), Transient("later"), Deferred("full")])
async def test_of_two_deliveries_at_a_time_one_fails_permanently(bus: Bus, error: Exception) -> None:
    async def handle(command: FetchFile) -> None:
        other = JobFailed(
            job=command.job, stage=Stage.FETCH, failures=1, final=True, error="the other delivery's"
        )
        await bus.publish_event(other)
        raise error

    async with working(bus, handle):
        await bus.publish_command(a_fetch())

        async def settled() -> bool:
            return await outstanding(bus) == 0

        await eventually(settled)
    failed = await bus.last_event(JobFailed, a_job().job_id)
    assert failed is not None
    assert (failed.error, failed.failures) == ("the other delivery's", 1)
    assert await dead_letter_count(bus) == 0


@pytest.mark.parametrize("error", [Transient("later"), RuntimeError("a bug")])
async def test_the_third_failure_of_a_transient_error_is_a_dead_letter(bus: Bus, error: Exception) -> None:
    tried = 0

    async def handle(_: FetchFile) -> None:
        nonlocal tried
        tried += 1
        raise error

    async with working(bus, handle):
        await bus.publish_command(a_fetch())

        async def letter() -> bool:
            return await dead_letter_count(bus) == 1

        await eventually(letter)
    failed = await bus.last_event(JobFailed, a_job().job_id)
    assert failed is not None
    assert (tried, failed.failures, failed.final) == (3, 3, True)


class NoRoom(Deferred):
    """A full disk, retried almost at once."""

    max_retry_delay_s = 0.01


async def test_deferred_work_is_retried_until_it_succeeds_and_costs_no_attempt(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MAX_STARTS", 4)
    errors: list[Exception] = [NoRoom("the disk is full")] * 6
    recorded: list[tuple[int, int, bool, str]] = []

    async def handle(command: FetchFile) -> None:
        if errors:
            raise errors.pop()
        failed = await bus.last_event(JobFailed, command.job.job_id)
        assert failed is not None
        recorded.append((failed.failures, failed.waits, failed.final, failed.error))

    async with working(bus, handle):
        await bus.publish_command(a_fetch())

        async def acknowledged() -> bool:
            return bool(recorded) and await outstanding(bus) == 0

        await eventually(acknowledged)
    assert recorded == [(0, 6, False, "the disk is full")]
    assert await dead_letter_count(bus) == 0


async def test_a_job_deferred_many_times_does_not_push_other_events_out_of_the_stream(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of deferrals survives, in the last event and in the state read from EVENTS."""
    monkeypatch.setattr(loop, "POLL_S", 0.01)
    deferred = 0

    async def handle(_: FetchFile) -> None:
        nonlocal deferred
        deferred += 1
        raise NoRoom("the disk is full")

    await bus.publish_event(JobRequested(job=a_job(), command_seq=1, url_sha256="0" * 64))
    async with working(bus, handle):
        await bus.publish_command(a_fetch())
        await eventually(lambda: deferred > EVENTS_KEPT_PER_SUBJECT + 2)
    failed = await bus.last_event(JobFailed, a_job().job_id)
    states = JobStates()
    events = follow_events(bus)
    assert isinstance(events, AsyncGenerator)
    async with contextlib.aclosing(events):
        async for followed in events:
            if followed.content is not None:
                states.apply(*followed.content)
            if followed.caught_up:
                break
    (state,) = states
    assert failed is not None
    assert failed.waits == deferred
    assert (state.waits, state.fetch_command_seq, state.status) == (deferred, 1, Status.STARTED)
    assert (await bus.js.stream_info(subjects.EVENTS)).state.messages <= 2 * EVENTS_KEPT_PER_SUBJECT + 1


async def test_deferred_work_is_not_retried_before_its_retry_time(bus: Bus) -> None:
    busy = Deferred("the circuit of the source is open")
    busy.retry_after_s = 0.8
    tried: list[float] = []

    async def handle(_: FetchFile) -> None:
        tried.append(time.monotonic())
        if len(tried) == 1:
            raise busy

    async with working(bus, handle):
        await bus.publish_command(a_fetch())
        await eventually(lambda: len(tried) == 2)
    assert tried[1] - tried[0] >= busy.retry_after_s


@pytest.mark.slow
async def test_deferrals_do_not_reset_the_count_of_failures(bus: Bus) -> None:
    errors = [error for _ in range(3) for error in (NoRoom("full"), Transient("later"))]

    async def handle(_: FetchFile) -> None:
        raise errors.pop(0)

    async with working(bus, handle):
        await bus.publish_command(a_fetch())

        async def letter() -> bool:
            return await dead_letter_count(bus) == 1

        await eventually(letter)
    failed = await bus.last_event(JobFailed, a_job().job_id)
    assert failed is not None
    assert (failed.failures, failed.waits, failed.final, errors) == (3, 3, True, [])
    assert failed.error == "later; failed permanently after 3 attempts: fix the cause and replay the job"


async def test_a_failed_attempt_names_the_time_of_the_next(bus: Bus) -> None:
    errors: list[str] = []

    async def handle(command: FetchFile) -> None:
        failed = await bus.last_event(JobFailed, command.job.job_id)
        if failed is None:
            raise Transient("the source is busy")
        errors.append(failed.error)

    async with working(bus, handle):
        await bus.publish_command(a_fetch())
        await eventually(lambda: bool(errors))
    assert errors == ["the source is busy; the next attempt is in 0 s"]


async def test_a_stage_started_too_often_fails_permanently(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_STARTS", 2)
    count = attempts.Attempts(bus, Stage.FETCH)
    await bus.publish_event(
        JobFailed(job=a_job(), stage=Stage.FETCH, failures=0, waits=1, final=False, error="full")
    )
    for _ in range(3):  # one of them was deferred
        await count.begin(a_fetch(), await count.read(a_fetch()))
    with pytest.raises(attempts.GaveUp):
        await count.begin(a_fetch(), await count.read(a_fetch()))


async def test_an_attempt_does_not_start_after_a_cancellation_that_came_after_it_was_read(bus: Bus) -> None:
    count = attempts.Attempts(bus, Stage.FETCH)
    record = await count.read(a_fetch())
    await bus.publish_event(JobCancelled(job=a_job()))
    assert (await count.begin(a_fetch(), record)).obsolete == "job_cancelled"
    assert await bus.last_event(JobStarted, a_job().job_id) is None
    newer = a_fetch(a_job(generation=2, requested_at=bus.clock()))
    assert (await count.begin(newer, await count.read(newer))).obsolete is None


async def test_each_of_two_deliveries_publishes_a_start_of_its_own(bus: Bus) -> None:
    count = attempts.Attempts(bus, Stage.FETCH)
    record = await count.read(a_fetch())
    assert [(await count.begin(a_fetch(), record)).starts for _ in range(2)] == [1, 2]


async def test_an_older_generation_is_acknowledged_without_work(bus: Bus) -> None:
    seen: list[int] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command.job.generation)

    newer = a_job(generation=2)
    await bus.publish_command(a_fetch(a_job(generation=1)))
    await bus.publish_command(a_fetch(newer))
    await bus.publish_event(JobRequested(job=newer, command_seq=2, url_sha256="0" * 64))
    async with working(bus, handle):

        async def acknowledged() -> bool:
            return await outstanding(bus) == 0

        await eventually(acknowledged)
    assert seen == [2]


async def test_a_malformed_message_becomes_a_dead_letter_and_blocks_no_other(bus: Bus) -> None:
    seen: list[FetchFile] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command)

    await bus.js.publish("gex.job.fetch.medium.NQ_NDX", b"not json")
    await bus.publish_command(a_fetch())
    async with working(bus, handle):
        await eventually(lambda: seen)

        async def letter() -> bool:
            return await dead_letter_count(bus) == 1

        await eventually(letter)


async def test_urgent_work_goes_first_and_the_last_slot_is_reserved_for_critical(bus: Bus) -> None:
    order: list[str] = []
    release = asyncio.Event()

    async def handle(command: FetchFile) -> None:
        order.append(command.job.ticker)
        await release.wait()

    for name, priority in (("LOW", Priority.LOW), ("MEDIUM", Priority.MEDIUM), ("HIGH", Priority.HIGH)):
        await bus.publish_command(a_fetch(a_job(ticker=name, priority=priority)))
    async with working(bus, handle, slots=2) as worker:
        await eventually(lambda: order == ["HIGH"])
        await bus.publish_command(a_fetch(a_job(ticker="CRITICAL", priority=Priority.CRITICAL)))
        await eventually(lambda: order == ["HIGH", "CRITICAL"])
        assert worker.busy == 2
        release.set()
        await eventually(lambda: order == ["HIGH", "CRITICAL", "MEDIUM", "LOW"])


async def test_the_earliest_deadline_goes_first_whatever_the_order_of_the_stream(bus: Bus) -> None:
    seen: list[str] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command.job.ticker)

    for minute in (3, 5, 1, 4, 2):
        requested_at = bus.clock() + timedelta(minutes=minute)
        await bus.publish_command(a_fetch(a_job(ticker=f"T{minute}", requested_at=requested_at)))
    async with working(bus, handle):
        await eventually(lambda: len(seen) == 5)
    assert seen == ["T1", "T2", "T3", "T4", "T5"]


async def test_low_work_gets_the_ninth_turn_and_windows_lose_nothing(bus: Bus) -> None:
    seen: list[str] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command.job.ticker)

    requested_at = bus.clock()
    for number in range(20):
        for priority in (Priority.LOW, Priority.MEDIUM):
            job = a_job(ticker=f"{priority}{number}", priority=priority, requested_at=requested_at)
            await bus.publish_command(a_fetch(job))
    async with working(bus, handle):
        await eventually(lambda: len(seen) == 40)
    turns = "".join(ticker[0] for ticker in seen)
    assert turns == "mmmmmmmml" * 2 + "mmmm" + "l" * 18
    for priority in (Priority.LOW, Priority.MEDIUM):
        of_priority = [ticker for ticker in seen if ticker.startswith(priority)]
        assert of_priority == [f"{priority}{number}" for number in range(20)]


async def test_work_continues_after_the_broker_was_killed(bus: Bus, nats_server: NatsServer) -> None:
    seen: list[str] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command.job.ticker)

    async with working(bus, handle):
        await bus.publish_command(a_fetch(a_job(ticker="BEFORE")))
        await eventually(lambda: "BEFORE" in seen)
        nats_server.kill()
        nats_server.start()

        async def sent() -> bool:
            with contextlib.suppress(BrokerUnavailable):  # until the client has noticed the loss
                return bool(await bus.publish_command(a_fetch(a_job(ticker="AFTER"))))
            return False

        await eventually(sent)
        await eventually(lambda: "AFTER" in seen)


async def test_a_deleted_consumer_is_restored(bus: Bus) -> None:
    seen: list[FetchFile] = []

    async def handle(command: FetchFile) -> None:
        seen.append(command)

    async with working(bus, handle):
        await bus.js.delete_consumer(subjects.JOBS, subjects.durable(Stage.FETCH, Priority.MEDIUM))
        await bus.publish_command(a_fetch())
        await eventually(lambda: seen)


async def test_work_that_outlasts_the_drain_is_returned_to_the_broker(bus: Bus) -> None:
    started = asyncio.Event()
    jobs = a_fetch(a_job(generation=1, requested_at=NOON))

    async def never_ends(_: FetchFile) -> None:
        started.set()
        await asyncio.Event().wait()

    worker = Worker(bus, Stage.FETCH, never_ends, slots=1, retries=Retries(3, 0.05))
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop, drain_timeout_s=0.05))
    await bus.publish_command(jobs)
    await asyncio.wait_for(started.wait(), 10)
    stop.set()
    await task
    done: list[FetchFile] = []

    async def handle(command: FetchFile) -> None:
        done.append(command)

    async with working(bus, handle):
        await eventually(lambda: done, within_s=10)
