"""Follow a stream across lost connections, deleted consumers and a new stream."""

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
async def following(
    bus: Bus, subject: str = subjects.ALL_EVENTS, newest: int | None = None
) -> AsyncIterator[list[Followed]]:
    items: list[Followed] = []

    async def read() -> None:
        async for item in follow(bus, subjects.EVENTS, subject, newest):
            items.append(item)  # noqa: PERF401 (it never ends)

    task = asyncio.create_task(read())
    try:
        yield items
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish_starts(bus: Bus, *starts: int) -> None:
    for start in starts:
        await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=start))


async def publish_eventually(bus: Bus, start: int) -> None:
    async def announced() -> bool:
        with contextlib.suppress(BrokerUnavailable):
            return bool(await bus.publish_event(JobStarted(job=a_job(), stage=Stage.FETCH, start=start)))
        return False

    await eventually(announced)


def starts(items: list[Followed]) -> list[int | None]:
    """The starts in the order items; None for the news that the end was reached."""
    seen: list[int | None] = []
    for item in items:
        if item.data is None:
            seen.append(None)
            continue
        payload = decode(item.subject, item.data).open(item.subject)
        assert isinstance(payload, JobStarted)
        seen.append(payload.start)
    return seen


async def test_the_end_of_the_backlog_is_reported_without_waiting_for_a_message(bus: Bus) -> None:
    await publish_starts(bus, 1, 2, 3)
    async with following(bus) as items:
        await eventually(lambda: starts(items) == [1, 2, 3, None], within_s=_WAIT_S / 2)


async def test_every_message_is_yielded_once_in_order_and_the_end_once(bus: Bus) -> None:
    await publish_starts(bus, 1, 2, 3)
    async with following(bus) as items:
        await eventually(lambda: len(items) == 4)
        await publish_starts(bus, 4, 5)
        await eventually(lambda: len(items) == 6)
    assert starts(items) == [1, 2, 3, None, 4, 5]
    assert [item.sequence for item in items] == [1, 2, 3, 3, 4, 5]


async def test_the_end_of_an_empty_stream_is_reported_at_once(bus: Bus) -> None:
    async with following(bus) as items:
        await eventually(lambda: items)
        await publish_starts(bus, 1)
        await eventually(lambda: len(items) == 2)
    assert starts(items) == [None, 1]


async def test_more_than_one_batch_is_yielded_before_the_end(bus: Bus) -> None:
    jobs = [a_job(ticker=f"T{number}") for number in range(701)]
    await asyncio.gather(
        *(bus.publish_event(JobStarted(job=job, stage=Stage.FETCH, start=1)) for job in jobs)
    )
    async with following(bus) as items:
        await eventually(lambda: any(item.data is None for item in items))
    assert items[-1].data is None
    assert [item.sequence for item in items[:-1]] == list(range(1, 702))


async def test_only_messages_under_the_subject_are_yielded(bus: Bus) -> None:
    other = a_job(ticker="SPX")
    await publish_starts(bus, 1)
    await bus.publish_event(JobStarted(job=other, stage=Stage.FETCH, start=7))
    async with following(bus, f"gex.event.job.*.{other.job_id}") as items:
        await eventually(lambda: len(items) == 2)
    assert starts(items) == [7, None]


@pytest.mark.parametrize(("newest", "first"), [(0, 4), (2, 2), (9, 1)])
async def test_it_begins_among_the_newest_messages(bus: Bus, newest: int, first: int) -> None:
    await publish_starts(bus, 1, 2, 3)
    async with following(bus, newest=newest) as items:
        await eventually(lambda: items and items[-1].data is None)
        assert items[-1].sequence == 3
        await publish_starts(bus, 4)
        await eventually(lambda: starts(items)[-1] == 4)
    assert [start for start in starts(items) if start] == list(range(first, 5))


async def test_purged_messages_are_skipped(bus: Bus) -> None:
    await publish_starts(bus, 1, 2, 3)
    await bus.js.purge_stream(subjects.EVENTS, seq=3)
    async with following(bus) as items:
        await eventually(lambda: len(items) == 2)
    assert starts(items) == [3, None]


async def test_it_continues_at_its_position_after_the_server_was_killed(
    bus: Bus, nats_server: NatsServer
) -> None:
    await publish_starts(bus, 1, 2)
    async with following(bus) as items:
        await eventually(lambda: len(items) == 3)
        nats_server.kill()
        nats_server.start()
        await publish_eventually(bus, 3)
        await publish_eventually(bus, 4)
        await eventually(lambda: len(items) >= 5)
    assert starts(items) == [1, 2, None, 3, 4]


async def test_it_starts_once_the_server_is_reachable(bus: Bus, nats_server: NatsServer) -> None:
    await publish_starts(bus, 1)
    nats_server.kill()
    async with following(bus) as items:
        nats_server.start()
        await eventually(lambda: len(items) == 2)
    assert starts(items) == [1, None]


async def test_it_ends_at_once_when_cancelled_at_any_step(bus: Bus) -> None:
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


async def test_it_continues_after_its_consumer_was_deleted(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shared.bus.follower._WAIT_S", 0.6
    )  # how long a pull of a consumer that is gone lasts
    async with following(bus) as items:
        await eventually(lambda: items)
        for consumer in await bus.js.consumers_info(subjects.EVENTS):
            await bus.js.delete_consumer(subjects.EVENTS, consumer.name)
        await publish_starts(bus, 1)
        await eventually(lambda: len(items) == 2)
    assert starts(items) == [None, 1]


async def test_a_cancelled_follower_leaves_nothing_running(bus: Bus) -> None:
    """A task of a library that is cancelled only after the connection was closed prints a traceback."""
    before = asyncio.all_tasks()
    async with following(bus) as items:
        await eventually(lambda: items)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("before", [(1, 2, 3), (1,)], ids=["longer", "as long"])
async def test_a_recreated_stream_is_read_from_its_first_message(bus: Bus, before: tuple[int, ...]) -> None:
    await publish_starts(bus, *before)
    async with following(bus) as items:
        await eventually(lambda: len(items) == len(before) + 1)
        await bus.js.delete_stream(subjects.EVENTS)
        await bus.apply_streams()
        await publish_starts(bus, 7, 8)
        await eventually(lambda: starts(items)[-1] == 8)
        assert starts(items) == [*before, None, 7, 8]


async def test_events_are_decoded_and_unreadable_messages_keep_their_place(bus: Bus) -> None:
    await publish_starts(bus, 1)
    await bus.js.publish("gex.event.job.new.x", b'{"type": "gex.event.v9.new"}')
    followed: list[FollowedEvent] = []

    async def read() -> None:
        async for item in follow_events(bus):
            followed.append(item)  # noqa: PERF401 (it never ends)

    reading = asyncio.create_task(read())
    await eventually(lambda: len(followed) == 3)
    await publish_starts(bus, 2)
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
