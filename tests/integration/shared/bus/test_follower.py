"""Following a stream across everything that happens to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import decode
from shared.bus.follower import _WAIT_S, Followed, FollowedEvent, follow, follow_events
from shared.bus.messages import JobStarted
from shared.errors import BrokerUnavailable
from simulator.nats_server import NatsServer
from tests.support.poll import eventually
from tests.support.values import a_job


@contextlib.asynccontextmanager
async def following(bus: Bus, subject: str = subjects.ALL_EVENTS) -> AsyncIterator[list[Followed]]:
    told: list[Followed] = []

    async def read() -> None:
        async for item in follow(bus, subjects.EVENTS, subject):
            told.append(item)  # noqa: PERF401 (it never ends)

    task = asyncio.create_task(read())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def announce(bus: Bus, *starts: int) -> None:
    for start in starts:
        await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=start))


async def announce_at_last(bus: Bus, start: int) -> None:
    async def announced() -> bool:
        with contextlib.suppress(BrokerUnavailable):
            return bool(await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=start)))
        return False

    await eventually(announced)


def starts(told: list[Followed]) -> list[int | None]:
    """The starts in the order told; None for the news that the end was reached."""
    seen: list[int | None] = []
    for item in told:
        if item.data is None:
            seen.append(None)
            continue
        payload = decode(item.subject, item.data).open(item.subject)
        assert isinstance(payload, JobStarted)
        seen.append(payload.start)
    return seen


async def test_the_end_is_told_without_waiting_for_more_to_come(bus: Bus) -> None:
    await announce(bus, 1, 2, 3)
    async with following(bus) as told:
        await eventually(lambda: starts(told) == [1, 2, 3, None], within_s=_WAIT_S / 2)


async def test_everything_is_told_once_in_order_and_the_end_once(bus: Bus) -> None:
    await announce(bus, 1, 2, 3)
    async with following(bus) as told:
        await eventually(lambda: len(told) == 4)
        await announce(bus, 4, 5)
        await eventually(lambda: len(told) == 6)
    assert starts(told) == [1, 2, 3, None, 4, 5]
    assert [item.sequence for item in told] == [1, 2, 3, 3, 4, 5]


async def test_an_empty_stream_is_told_ended_at_once(bus: Bus) -> None:
    async with following(bus) as told:
        await eventually(lambda: told)
        await announce(bus, 1)
        await eventually(lambda: len(told) == 2)
    assert starts(told) == [None, 1]


async def test_more_than_one_batch_is_told_before_the_end(bus: Bus) -> None:
    jobs = [a_job(ticker=f"T{number}") for number in range(701)]
    await asyncio.gather(
        *(bus.publish_event(JobStarted(job=job, stage=Stage.FETCH, start=1)) for job in jobs)
    )
    async with following(bus) as told:
        await eventually(lambda: any(item.data is None for item in told))
    assert told[-1].data is None
    assert [item.sequence for item in told[:-1]] == list(range(1, 702))


async def test_only_messages_under_the_subject_are_told(bus: Bus) -> None:
    other = a_job(ticker="SPX")
    await announce(bus, 1)
    await bus.publish_event(JobStarted(job=other, stage=Stage.FETCH, start=7))
    async with following(bus, f"gex.event.job.*.{other.job_id}") as told:
        await eventually(lambda: len(told) == 2)
    assert starts(told) == [7, None]


async def test_messages_that_the_stream_has_forgotten_are_no_hindrance(bus: Bus) -> None:
    await announce(bus, 1, 2, 3)
    await bus.js.purge_stream(subjects.EVENTS, seq=3)
    async with following(bus) as told:
        await eventually(lambda: len(told) == 2)
    assert starts(told) == [3, None]


async def test_it_goes_on_where_it_was_after_the_server_was_killed(bus: Bus, nats_server: NatsServer) -> None:
    await announce(bus, 1, 2)
    async with following(bus) as told:
        await eventually(lambda: len(told) == 3)
        nats_server.kill()
        nats_server.start()
        await announce_at_last(bus, 3)
        await announce_at_last(bus, 4)
        await eventually(lambda: len(told) >= 5)
    assert starts(told) == [1, 2, None, 3, 4]


async def test_it_begins_once_the_server_is_there(bus: Bus, nats_server: NatsServer) -> None:
    await announce(bus, 1)
    nats_server.kill()
    async with following(bus) as told:
        nats_server.start()
        await eventually(lambda: len(told) == 2)
    assert starts(told) == [1, None]


async def test_it_ends_at_once_whenever_it_is_cancelled(bus: Bus) -> None:
    """Before Python 3.12, ``asyncio.wait_for`` loses a cancellation that comes together with its result."""

    async def read() -> None:
        async for _ in follow(bus, subjects.EVENTS, subjects.ALL_EVENTS):
            pass

    for steps in range(0, 600, 6):
        reading = asyncio.create_task(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        ended, _ = await asyncio.wait({reading}, timeout=5)
        assert ended


async def test_it_goes_on_after_its_consumer_was_deleted(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shared.bus.follower._WAIT_S", 0.6
    )  # how long a pull of a consumer that is gone lasts
    async with following(bus) as told:
        await eventually(lambda: told)
        for consumer in await bus.js.consumers_info(subjects.EVENTS):
            await bus.js.delete_consumer(subjects.EVENTS, consumer.name)
        await announce(bus, 1)
        await eventually(lambda: len(told) == 2)
    assert starts(told) == [None, 1]


async def test_a_cancelled_follower_leaves_nothing_running(bus: Bus) -> None:
    """A task of a library that is cancelled only after the connection was closed prints a traceback."""
    before = asyncio.all_tasks()
    async with following(bus) as told:
        await eventually(lambda: told)
    assert asyncio.all_tasks() == before


async def test_a_stream_that_was_made_anew_is_told_from_its_first_message(bus: Bus) -> None:
    await announce(bus, 1, 2, 3)
    async with following(bus) as told:
        await eventually(lambda: len(told) == 4)
        await bus.js.delete_stream(subjects.EVENTS)
        await bus.apply_streams()
        await announce_at_last(bus, 7)
        await eventually(lambda: starts(told)[-1] == 7)


async def test_events_are_decoded_and_unreadable_messages_keep_their_place(bus: Bus) -> None:
    await announce(bus, 1)
    await bus.js.publish("gex.event.job.new.x", b'{"type": "gex.event.v9.new"}')
    followed: list[FollowedEvent] = []

    async def read() -> None:
        async for item in follow_events(bus):
            followed.append(item)  # noqa: PERF401 (it never ends)

    reading = asyncio.create_task(read())
    await eventually(lambda: len(followed) == 3)
    await announce(bus, 2)
    await eventually(lambda: len(followed) == 4)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    events = [item.content.event if item.content else None for item in followed]
    assert [event and (event.TYPE, getattr(event, "start", None)) for event in events] == [
        ("gex.event.v1.started", 1),
        None,
        None,
        ("gex.event.v1.started", 2),
    ]
    assert [item.sequence for item in followed] == [1, 2, 2, 3]
    assert [item.caught_up for item in followed] == [False, False, True, True]


async def test_unreadable_events_are_logged_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("shared.bus.follower.log.warning", lambda event, **_: logged.append(event))
    for number in range(3):
        await bus.js.publish(f"gex.event.job.new.{number}", b"not json")
    events = follow_events(bus)
    assert isinstance(events, AsyncGenerator)
    async with contextlib.aclosing(events):
        async for item in events:
            if item.caught_up:
                break
    assert logged == ["event_unreadable"]
