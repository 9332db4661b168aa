"""Pull the messages of one durable consumer, strictly in the order of the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.consumer.batch import BatchLimits, OrderLost, StreamMessage
from shared.errors import BrokerUnavailable

_PULL_S: Final = 10.0
"""How long the broker keeps a pull; then the consumer is looked for."""
_LATE_S: Final = 1.0
_OVERHEAD_BYTES: Final = 64 * 1024
"""Of a message: its subjects and headers."""
_ACK_WAIT_S: Final = 60.0

log = structlog.get_logger(__name__)


class BatchReader:
    """Reads from one consumer until the order is lost.

    Never more than one pull is open: what it may still bring bounds what waits here.
    """

    def __init__(self, bus: Bus, stream: str, consumer: str, limits: BatchLimits) -> None:
        self.pending = 0
        """How many messages the stream has after the last one that was read."""
        self._inbox = bus.client.new_inbox()
        self._pulls = 0
        self._bus = bus
        self._stream = stream
        self._consumer = consumer
        self._limits = limits
        self._arrived: asyncio.Queue[Msg | OrderLost | None] = asyncio.Queue()
        self._open = 0
        """How many messages the open pull may still bring."""
        self._delivered = 0

    @property
    def inbox(self) -> str:
        """The subjects on which messages come."""
        return f"{self._inbox}.*"

    @property
    def _reply(self) -> str:
        """The subject of the newest pull, on which its end is reported."""
        return f"{self._inbox}.{self._pulls}"

    async def on_message(self, message: Msg) -> None:
        """Take a message of the inbox."""
        self._arrived.put_nowait(message)

    def on_reconnect(self) -> None:
        """Note that the broker has dropped the pull, and perhaps messages with it."""
        self._arrived.put_nowait(OrderLost(self._stream, "the connection was lost"))

    def on_stop(self) -> None:
        """Wake up the wait for messages."""
        self._arrived.put_nowait(None)

    async def batch(self) -> list[StreamMessage]:
        """Return the next messages; none if ``on_stop`` was called, or none came for a while.

        Raises:
            OrderLost: messages are missing or come again.
            NotFoundError: the consumer does not exist any more.
            BrokerUnavailable: the broker does not answer.
        """
        found: list[StreamMessage] = []
        size_bytes = 0
        ends_at: float | None = None
        loop = asyncio.get_running_loop()
        while len(found) < self._limits.messages and size_bytes < self._limits.size_bytes:
            message = await self._next(None if ends_at is None else ends_at - loop.time())
            if message is None:
                break
            found.append(message)
            size_bytes += len(message.data)
            ends_at = ends_at or loop.time() + self._limits.wait_s
        return found

    async def _next(self, within_s: float | None) -> StreamMessage | None:
        """Return the next message, or None if none came in time.

        Args:
            within_s: by default, as long as a pull lasts.
        """
        if self._arrived.empty():
            if within_s is not None and within_s <= 0:
                return None
            if not self._open:
                await self._pull()
        try:
            async with asyncio.timeout(_PULL_S + _LATE_S if within_s is None else max(within_s, 0)):
                message = await self._arrived.get()
        except TimeoutError:
            if within_s is None:
                await self._check()
            return None
        if isinstance(message, OrderLost):
            raise message
        if message is None:
            return None
        if (message.headers or {}).get("Status"):
            return await self._after_status(message, within_s)
        return self._in_order(message)

    async def _after_status(self, message: Msg, within_s: float | None) -> StreamMessage | None:
        """Take the end of a pull: its time is up, or the broker has dropped it."""
        if message.subject == self._reply:  # not of an earlier pull, which was complete
            log.debug("pull_ended", stream=self._stream, status=(message.headers or {}).get("Status"))
            self._open = 0
            if within_s is None:
                await self._check()
                return None
        return await self._next(within_s)

    def _in_order(self, message: Msg) -> StreamMessage:
        at = message.metadata
        self._open -= 1
        self._delivered += 1
        if at.sequence.consumer != self._delivered or at.num_delivered != 1:
            problem = f"delivery {at.sequence.consumer} came in place of {self._delivered}"
            raise OrderLost(self._stream, problem)
        self.pending = at.num_pending
        return StreamMessage(at.sequence.stream, message)

    async def _pull(self) -> None:
        # A message that is larger than a pull would never come.
        max_bytes = max(self._limits.size_bytes, self._bus.client.max_payload) + _OVERHEAD_BYTES
        request = {"batch": self._limits.messages, "max_bytes": max_bytes, "expires": int(_PULL_S * 1e9)}
        self._open = self._limits.messages
        self._pulls += 1
        await self._bus.client.publish(
            subjects.next_message(self._stream, self._consumer), json.dumps(request).encode(), self._reply
        )

    async def _check(self) -> None:
        """Look for the consumer: the broker does not answer pulls of one that was deleted."""
        self._open = 0
        found = await self._bus.js.consumer_info(self._stream, self._consumer)
        if found.delivered and found.delivered.consumer_seq < self._delivered:
            raise OrderLost(self._stream, "the consumer was created again")


@asynccontextmanager
async def batch_reader(
    bus: Bus, stream: str, consumer: str, start: int, limits: BatchLimits
) -> AsyncIterator[BatchReader]:
    """Yield the reader of a durable consumer that is created again, to begin at a sequence.

    Raises:
        NotFoundError: the stream does not exist.
        BrokerUnavailable: no answer in time.
    """
    with suppress(NotFoundError):
        await bus.js.delete_consumer(stream, consumer)
    config = ConsumerConfig(
        durable_name=consumer,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_policy=AckPolicy.ALL,
        ack_wait=_ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=4 * limits.messages,
    )
    created = await bus.js.add_consumer(stream, config)
    reader = BatchReader(bus, stream, consumer, limits)
    reader.pending = created.num_pending or 0
    subscription = await bus.client.subscribe(reader.inbox, cb=reader.on_message)
    bus.on_reconnect(reader.on_reconnect)
    try:
        yield reader
    finally:
        bus.remove_reconnect_callback(reader.on_reconnect)
        with suppress(BrokerUnavailable), translate_errors("stop reading"):
            await subscription.unsubscribe()
