"""The events in memory: order, bounds, what is still there, and readers that wait or fall behind."""

from __future__ import annotations

import asyncio

import pytest

from services.intake.live.events import EventFilter, LiveEvent
from services.intake.live.feed_ring import Closed, Cursor, CutOff, FeedRing
from tests.support.intake.live import a_message

ALL = EventFilter()
SPX = EventFilter(tickers=frozenset({"SPX"}))
EVENT_BYTES = LiveEvent(1, a_message(1)).size_bytes


def ring_of(*sequences: int, room_for: int = 100) -> FeedRing:
    ring = FeedRing(room_for * EVENT_BYTES + EVENT_BYTES // 2)  # later ids have more digits
    for sequence in sequences:
        ring.append(LiveEvent(sequence, a_message(sequence)))
    return ring


def cursor_at(ring: FeedRing, after: int, wanted: EventFilter = ALL) -> Cursor:
    position = ring.position_after(after)
    assert position is not None
    return Cursor(ring, wanted, position, after)


async def sequences(cursor: Cursor) -> list[int]:
    return [event.sequence for event in await cursor.next_events()]


@pytest.mark.parametrize(("after", "rest"), [(2, [3, 5, 8]), (3, [5, 8]), (4, [5, 8]), (7, [8])])
async def test_a_reader_gets_the_events_after_a_place_in_order(after: int, rest: list[int]) -> None:
    assert await sequences(cursor_at(ring_of(3, 5, 8), after)) == rest


async def test_the_oldest_events_go_when_there_is_no_room() -> None:
    ring = ring_of(*range(1, 11), room_for=3)
    assert (ring.first, ring.end) == (7, 10)
    assert [ring.position_after(after) for after in (5, 6, 7, 10)] == [None, None, 7, 10]


def test_nothing_is_known_of_the_time_before_the_first_event() -> None:
    ring = FeedRing(EVENT_BYTES)
    assert ring.position_after(5) is None
    ring.cover(9)
    assert (ring.last_sequence, ring.position_after(7), ring.position_after(8)) == (8, None, 0)


async def test_an_event_larger_than_the_room_is_still_read() -> None:
    ring = FeedRing(1)
    ring.append(LiveEvent(4, a_message(4)))
    assert await sequences(cursor_at(ring, 3)) == [4]


async def test_a_reader_that_falls_behind_is_cut_off_and_others_are_not() -> None:
    ring = ring_of(1, 2, room_for=4)
    slow, fast = cursor_at(ring, 0), cursor_at(ring, 0)
    for sequence in range(3, 9):
        assert await sequences(fast)
        ring.append(LiveEvent(sequence, a_message(sequence)))
    assert await sequences(fast) == [8]
    with pytest.raises(CutOff):
        await slow.next_events()


async def test_a_reader_that_waits_for_a_silent_ticker_does_not_fall_behind() -> None:
    ring = ring_of(room_for=3)
    ring.cover(1)
    waiting = asyncio.create_task(sequences(cursor_at(ring, 0, SPX)))
    await asyncio.sleep(0)
    for sequence in range(1, 20):
        ring.append(LiveEvent(sequence, a_message(sequence, "NDX")))
    ring.append(LiveEvent(20, a_message(20)))
    assert await waiting == [20]


async def test_a_chunk_is_bounded_and_the_rest_comes_next() -> None:
    ring = ring_of(*range(1, 1000), room_for=2000)
    cursor = cursor_at(ring, 0)
    first, second, third = [await sequences(cursor) for _ in range(3)]
    assert first + second + third == list(range(1, 1000))


async def test_readers_end_when_the_ring_is_closed_after_what_is_there() -> None:
    ring = ring_of(1)
    cursor = cursor_at(ring, 0)
    waiting = asyncio.create_task(sequences(cursor_at(ring, 1)))
    await asyncio.sleep(0)
    ring.close()
    with pytest.raises(Closed):
        await waiting
    assert await sequences(cursor) == [1]
    with pytest.raises(Closed):
        await cursor.next_events()


async def test_a_reader_that_goes_is_not_waited_for() -> None:
    ring = ring_of(1)
    waiting = asyncio.create_task(sequences(cursor_at(ring, 1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    ring.append(LiveEvent(2, a_message(2)))
    assert await sequences(cursor_at(ring, 1)) == [2]
