"""Publishing to FEED in batches: stored once, in one exchange, and never a caller that waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from shared.bus import subjects
from shared.bus.connection import Bus, utc_now
from shared.bus.feeds import batch_publisher
from shared.bus.feeds.batch_publisher import (
    ANSWER_WITHIN_S,
    MAX_IN_FLIGHT,
    MAX_MESSAGE_BYTES,
    MIN_BATCH,
    WINDOW_S,
    FeedPublisher,
    MessageTooLarge,
)
from shared.bus.feeds.live_messages import LiveMessage, Snapshot, Webhook, decode, live_snapshot, live_webhook
from shared.errors import BrokerUnavailable, StreamFull
from simulator.nats_server import NatsServer
from tests.support.poll import eventually

MANY: Final = 2 * MIN_BATCH
PATIENCE_S: Final = 20.0
"""For machines that are busy with other tests."""


class Sent:
    """What was sent together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, messages: int, seconds: float) -> None:
        assert seconds >= 0
        self.sizes.append(messages)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def publisher(bus: Bus, sent: Sent) -> FeedPublisher:
    def require_bus() -> Bus:
        if not bus.is_connected:
            raise BrokerUnavailable("connect to it")
        return bus

    return FeedPublisher(require_bus, sent, answer_within_s=PATIENCE_S)


def message(number: int) -> LiveMessage:
    return live_snapshot(Snapshot("SPX", "gex_zero", 1_763_132_400_000 + number), utc_now())


def messages(count: int) -> list[LiveMessage]:
    return [message(number) for number in range(count)]


async def publish(publisher: FeedPublisher, wanted: Sequence[LiveMessage]) -> list[BaseException | None]:
    return await asyncio.gather(*(publisher.publish(one) for one in wanted), return_exceptions=True)


async def stored(bus: Bus) -> list[LiveMessage]:
    state = (await bus.js.stream_info(subjects.FEED)).state
    found = [await bus.js.get_msg(subjects.FEED, seq=number + 1) for number in range(state.last_seq)]
    return [decode(one.subject or "", one.data or b"") for one in found]


async def test_messages_of_a_moment_are_one_batch_in_order(
    bus: Bus, publisher: FeedPublisher, sent: Sent
) -> None:
    wanted = [*messages(MANY), live_webhook(Webhook("a topic:X"), utc_now())]
    assert await publish(publisher, wanted) == [None] * len(wanted)
    assert await stored(bus) == wanted
    assert sent.sizes == [len(wanted)]


async def test_few_messages_are_published_without_a_batch(
    bus: Bus, publisher: FeedPublisher, sent: Sent
) -> None:
    wanted = messages(MIN_BATCH - 1)
    assert await publish(publisher, wanted) == [None] * len(wanted)
    assert await stored(bus) == wanted
    assert sent.sizes == [1] * len(wanted)


async def test_more_than_fit_one_batch_are_all_stored(bus: Bus, sent: Sent) -> None:
    publisher = FeedPublisher(lambda: bus, sent, answer_within_s=PATIENCE_S, max_batch=MIN_BATCH)
    wanted = messages(MIN_BATCH * (MAX_IN_FLIGHT + 2))
    assert await publish(publisher, wanted) == [None] * len(wanted)
    assert sorted(one.id for one in await stored(bus)) == sorted(one.id for one in wanted)
    assert sent.sizes == [MIN_BATCH] * (MAX_IN_FLIGHT + 2)


async def test_the_same_content_at_once_is_one_message(
    bus: Bus, publisher: FeedPublisher, sent: Sent
) -> None:
    wanted = messages(MANY)
    again = [replace_time(one) for one in wanted]
    assert await publish(publisher, [*wanted, *again]) == [None] * 2 * MANY
    assert await stored(bus) == wanted
    assert sent.sizes == [MANY]


def replace_time(one: LiveMessage) -> LiveMessage:
    return live_snapshot(one.payload, utc_now()) if isinstance(one.payload, Snapshot) else one


async def test_what_is_stored_is_published_apart_so_that_a_batch_is_not_refused(
    bus: Bus, publisher: FeedPublisher, sent: Sent
) -> None:
    wanted = messages(MANY + 1)
    await publish(publisher, wanted[:1])
    assert await publish(publisher, wanted) == [None] * (MANY + 1)
    assert await stored(bus) == wanted
    assert sent.sizes == [1, MANY, 1]


async def test_a_batch_that_is_refused_for_a_duplicate_goes_one_by_one(
    bus: Bus, publisher: FeedPublisher, sent: Sent
) -> None:
    wanted = messages(MANY)
    await FeedPublisher(lambda: bus).publish(wanted[3])  # as if by an intake before a restart
    assert await publish(publisher, wanted) == [None] * MANY
    assert {one.id for one in await stored(bus)} == {one.id for one in wanted}
    assert len(await stored(bus)) == MANY
    assert sent.sizes == [1] * MANY


async def test_a_stream_without_batches_gets_its_messages_one_by_one(
    bus: Bus, publisher: FeedPublisher, sent: Sent
) -> None:
    config = (await bus.js.stream_info(subjects.FEED)).config
    await bus.js.update_stream(replace(config, allow_atomic=False))
    assert await publish(publisher, messages(MANY)) == [None] * MANY
    assert len(await stored(bus)) == MANY
    assert sent.sizes == [1] * MANY


@pytest.mark.parametrize("count", [1, MANY])
async def test_a_full_stream_is_an_error_of_its_own(bus: Bus, publisher: FeedPublisher, count: int) -> None:
    config = (await bus.js.stream_info(subjects.FEED)).config
    await bus.js.update_stream(replace(config, max_bytes=1))
    assert [type(error) for error in await publish(publisher, messages(count))] == [StreamFull] * count


@pytest.mark.parametrize("count", [1, MANY])
async def test_a_missing_stream_is_an_unavailable_broker(
    bus: Bus, publisher: FeedPublisher, count: int
) -> None:
    await bus.js.delete_stream(subjects.FEED)
    assert [type(error) for error in await publish(publisher, messages(count))] == [BrokerUnavailable] * count


async def test_a_message_over_the_brokers_limit_is_refused_before_it_waits(publisher: FeedPublisher) -> None:
    large = live_webhook(Webhook(payload="x" * MAX_MESSAGE_BYTES), utc_now())
    with pytest.raises(MessageTooLarge):
        await publisher.publish(large)


async def test_the_largest_message_is_stored_also_in_a_batch(bus: Bus, publisher: FeedPublisher) -> None:
    room = MAX_MESSAGE_BYTES - 1024
    wanted = [live_webhook(Webhook(payload=f"{number}" * room), utc_now()) for number in range(3)]
    assert await publish(publisher, [*wanted, *messages(MANY)]) == [None] * (3 + MANY)
    assert len(await stored(bus)) == 3 + MANY


async def test_more_than_may_wait_is_refused_at_once(
    publisher: FeedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_publisher, "MAX_WAITING", MANY)
    answers = await publish(publisher, messages(MANY + 1))
    assert answers[:-1] == [None] * MANY
    assert isinstance(answers[-1], BrokerUnavailable)


async def test_a_caller_that_leaves_takes_no_other_with_it(bus: Bus, publisher: FeedPublisher) -> None:
    wanted = messages(MANY)
    leaving = asyncio.create_task(publisher.publish(wanted[0]))
    others = asyncio.create_task(publish(publisher, wanted))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await others == [None] * MANY
    assert leaving.cancelled()
    assert await stored(bus) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, MANY])
async def test_a_broker_that_hangs_or_dies_fails_every_caller_in_time(
    nats_server: NatsServer, bus: Bus, publisher: FeedPublisher, count: int
) -> None:
    wanted = messages(count)
    hasty = FeedPublisher(lambda: bus)
    async with asyncio.timeout(5):  # ANSWER_WITHIN_S, on a busy machine
        with nats_server.frozen():
            answers = await publish(hasty, wanted)
    assert [type(error) for error in answers] == [BrokerUnavailable] * count
    # The messages waited in the broker's socket: the retry is a duplicate of what it stored by then.
    assert await publish(publisher, wanted) == [None] * count
    assert len(await stored(bus)) == count
    waiting = asyncio.create_task(publish(hasty, messages(count)))
    nats_server.kill()
    async with asyncio.timeout(5):
        assert {type(error) for error in await waiting} <= {BrokerUnavailable, type(None)}
    nats_server.start()
    await eventually(lambda: bus.is_connected)
    assert await publish(publisher, wanted) == [None] * count
    assert len(await stored(bus)) == count


def test_a_caller_has_its_answer_within_two_seconds() -> None:
    assert WINDOW_S + ANSWER_WITHIN_S < 2
