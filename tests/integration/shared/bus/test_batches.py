"""Batches of a stream on a real nats-server: in order and once, whatever happens to the consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer.batch import Batch, BatchLimits, StreamFound
from shared.bus.consumer.batches import BatchConsumer
from shared.errors import BrokerUnavailable, Transient
from simulator.nats_server import NatsServer
from tests.support.poll import eventually

DURABLE = "test"
QUICK = BatchLimits(messages=5, wait_s=0.05)


@dataclass
class Database:
    """Keeps what it is handed, with its position, as a transaction would."""

    stored: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    position: int = 0
    created_at: object = None
    asked: int = 0
    failures: int = 0
    unavailable: int = 0
    hold: asyncio.Event | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def find(self, stream: StreamFound) -> int:
        self.asked += 1
        if self.unavailable:
            self.unavailable -= 1
            raise BrokerUnavailable("no position")
        if self.created_at not in {None, stream.created_at}:
            self.position = 0
        self.created_at = stream.created_at
        return self.position

    async def store(self, batch: Batch) -> None:
        self.began.set()
        if self.failures:
            self.failures -= 1
            raise Transient("not now")
        if self.hold is not None:
            await self.hold.wait()
        assert batch.messages[0].sequence > self.position
        self.stored += [message.data for message in batch.messages]
        self.sizes.append(len(batch.messages))
        self.position = batch.last_sequence


@contextlib.asynccontextmanager
async def consuming(
    bus: Bus, database: Database, limits: BatchLimits = QUICK
) -> AsyncIterator[BatchConsumer]:
    stop = asyncio.Event()
    consumer = BatchConsumer(
        bus,
        subjects.FEED,
        DURABLE,
        position=database.find,
        store=database.store,
        limits=limits,
        retry_s=0.01,
    )
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        await asyncio.wait_for(running, timeout=10)


async def publish(bus: Bus, *numbers: int) -> None:
    for number in numbers:

        async def sent(number: int = number) -> bool:
            with contextlib.suppress(BrokerUnavailable):
                return bool(await bus.publish("gex.feed.uw.x", b"%d" % number, subjects.FEED, str(number)))
            return False

        await eventually(sent)


def expected(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


async def stored(database: Database, *numbers: int) -> None:
    await eventually(lambda: database.stored == expected(*numbers))


async def test_messages_come_in_batches_and_the_last_is_acknowledged(bus: Bus) -> None:
    await publish(bus, *range(12))
    database = Database()
    async with consuming(bus, database) as consumer:
        await stored(database, *range(12))
        assert database.sizes == [5, 5, 2]
        await publish(bus, 12)
        await stored(database, *range(13))

        async def acknowledged() -> bool:
            found = await bus.js.consumer_info(subjects.FEED, DURABLE)
            assert found.config.ack_policy == AckPolicy.ALL
            return bool(found.num_ack_pending == 0)

        await eventually(acknowledged)
        assert (consumer.pending, consumer.busy) == (0, 0)
    assert database.asked == 1


async def test_a_batch_ends_at_its_size_in_bytes(bus: Bus) -> None:
    await publish(bus, *range(10, 16))
    database = Database()
    async with consuming(bus, database, BatchLimits(messages=100, wait_s=0.05, size_bytes=4)):
        await stored(database, *range(10, 16))
    assert database.sizes == [2, 2, 2]


async def test_what_is_stored_already_is_not_handed_over(bus: Bus) -> None:
    await publish(bus, *range(6))
    async with consuming(bus, database := Database(position=4)):
        await stored(database, 4, 5)


async def test_a_batch_that_fails_is_handed_over_again_before_any_other(bus: Bus) -> None:
    await publish(bus, *range(7))
    async with consuming(bus, database := Database(failures=2)):
        await stored(database, *range(7))


async def test_the_pause_before_a_position_is_asked_for_again_does_not_grow(bus: Bus) -> None:
    """However long the broker was away, what it has is read soon after it is back."""
    await publish(bus, 0)
    async with consuming(bus, database := Database(unavailable=20)):
        await stored(database, 0)


async def test_a_stop_waits_for_the_batch_in_hand(bus: Bus) -> None:
    await publish(bus, 0, 1)
    database = Database(hold=asyncio.Event())
    async with consuming(bus, database) as consumer:
        await database.began.wait()
        assert consumer.busy == 1
        assert database.hold is not None
        asyncio.get_running_loop().call_later(0.1, database.hold.set)
    assert database.stored == expected(0, 1)


async def test_a_consumer_that_was_deleted_is_created_at_the_position(bus: Bus) -> None:
    await publish(bus, 0, 1)
    async with consuming(bus, database := Database()):
        await stored(database, 0, 1)
        await bus.js.delete_consumer(subjects.FEED, DURABLE)
        await publish(bus, 2, 3)
        await stored(database, 0, 1, 2, 3)


async def test_a_consumer_that_was_created_by_another_is_replaced(bus: Bus) -> None:
    """Deliveries that start again, as after a reset of the consumer, do not come through."""
    await publish(bus, 0, 1, 2)
    async with consuming(bus, database := Database()):
        await stored(database, 0, 1, 2)
        await bus.js.delete_consumer(subjects.FEED, DURABLE)
        other = ConsumerConfig(durable_name=DURABLE, ack_policy=AckPolicy.ALL)
        await bus.js.add_consumer(subjects.FEED, other)
        await publish(bus, 3)
        await stored(database, 0, 1, 2, 3)


async def test_a_stream_that_was_created_again_is_read_from_its_first_message(bus: Bus) -> None:
    await publish(bus, 0, 1, 2)
    async with consuming(bus, database := Database()):
        await stored(database, 0, 1, 2)
        await bus.js.delete_stream(subjects.FEED)
        await bus.apply_streams()
        await publish(bus, 3, 4)
        await stored(database, 0, 1, 2, 3, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
async def test_a_broker_that_ends_is_read_on_at_the_position(
    nats_server: NatsServer, bus: Bus, kill: bool
) -> None:
    await publish(bus, 0, 1)
    async with consuming(bus, database := Database()):
        await stored(database, 0, 1)
        nats_server.kill() if kill else nats_server.stop()
        nats_server.start()
        await publish(bus, *range(2, 9))
        await stored(database, *range(9))
