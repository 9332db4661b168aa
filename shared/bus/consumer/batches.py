"""Consume a stream in batches: a function stores them, and says where to begin.

The position is the function's, written with the effect of a batch: the broker's own is for those who look at
it. The durable consumer is created again at that position at the start, and whenever the order may be lost:
after a reconnect, a redelivery or a gap, and for a consumer or stream that was deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from nats.js.errors import NotFoundError

from shared.bus.connection import Bus, raise_if_cancelled, translate_errors
from shared.bus.consumer.batch import Batch, BatchLimits, OrderLost, StreamFound
from shared.bus.consumer.batch_execution import BatchExecution, StoreBatch
from shared.bus.consumer.batch_reader import BatchReader, batch_reader
from shared.errors import BrokerUnavailable, StoppedEarly, Transient

DEFAULT_LIMITS: Final = BatchLimits()
_RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)
FindPosition = Callable[[StreamFound], Awaitable[int]]
"""Returns the sequence number of the last message of a stream that is stored, or 0."""


class BatchConsumer:
    """Hands the messages of a stream to a function, in batches and strictly in order.

    Args:
        bus: the connection.
        stream: the stream's name.
        durable: the name of its consumer, which is this one's alone.
        position: finds the last message that is stored.
        store: stores a batch, all of it or nothing; it returns once the effect is durable.
        limits: when a batch is complete.
        on_acknowledged: called after the ack of a batch.
        retry_s: how long to wait before the stream is looked for again.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        durable: str,
        *,
        position: FindPosition,
        store: StoreBatch,
        limits: BatchLimits = DEFAULT_LIMITS,
        on_acknowledged: Callable[[], None] = lambda: None,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._durable = durable
        self._position = position
        self._store = store
        self._limits = limits
        self._on_acknowledged = on_acknowledged
        self._retry_s = retry_s
        self._reader: BatchReader | None = None
        self._is_storing = False

    @property
    def pending(self) -> int:
        """How many messages of the stream have not been read, as of the last one that was."""
        return self._reader.pending if self._reader else 0

    @property
    def busy(self) -> int:
        """1 while a batch is being stored."""
        return int(self._is_storing)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop`` is set; the batch in hand is stored first, unless it has to wait."""
        execution = BatchExecution(self._bus, self._store, stop)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._reader.on_stop() if self._reader else None)
        problem = ""
        try:
            while not stop.is_set():
                try:
                    with translate_errors(f"consume {self._stream}"):
                        await self._consume(execution, stop)
                except OrderLost as error:
                    problem = ""
                    log.info("consumer_created_again", stream=self._stream, reason=str(error))
                except (Transient, NotFoundError) as error:
                    raise_if_cancelled()
                    is_known = isinstance(error, BrokerUnavailable) or str(error) == problem
                    problem = str(error)
                    level = log.debug if is_known else log.warning
                    level("consumer_interrupted", stream=self._stream, error=problem)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._retry_s):
                            await stop.wait()
                except StoppedEarly:
                    return
        finally:
            stopping.cancel()
            self._reader = None

    async def _consume(self, execution: BatchExecution, stop: asyncio.Event) -> None:
        """Consume until the order is lost.

        Raises:
            OrderLost: the position is to be asked for again.
            BrokerUnavailable: the same.
            NotFoundError: the consumer or the stream does not exist.
        """
        found = await self._find_stream()
        start = await self._position(found) + 1
        async with batch_reader(self._bus, self._stream, self._durable, start, self._limits) as reader:
            self._reader = reader
            while not stop.is_set():
                messages = await reader.batch()
                raise_if_cancelled()
                if not messages:
                    continue
                self._is_storing = True
                try:
                    await execution.run(Batch(found, tuple(messages), messages[-1].sequence))
                finally:
                    self._is_storing = False
                await messages[-1].content.ack()
                self._on_acknowledged()

    async def _find_stream(self) -> StreamFound:
        found = await self._bus.js.stream_info(self._stream)
        if found.created is None:
            raise BrokerUnavailable(f"look for {self._stream}")
        return StreamFound(self._stream, found.created, found.state.last_seq)
