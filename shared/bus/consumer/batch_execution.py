"""Store one batch: the only place that turns the type of a batch's error into a decision.

    MessageFailed        dead letter of that message; the others are stored
    OrderLost            nothing: the consumer asks for the position, and begins there
    Transient            the same batch again, after a growing delay
    another error        halves of the batch, down to the message that fails: a dead letter. If an empty batch
                         fails, too, the fault is not the message's: the same batch again, after a delay

A message that cannot be stored holds up nothing, and no later message is stored before an earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from shared.bus.connection import Bus
from shared.bus.consumer import dead_letters
from shared.bus.consumer.batch import Batch, MessageFailed, OrderLost, StreamMessage
from shared.errors import BrokerUnavailable, StoppedEarly, Transient

_MIN_DELAY_S: Final = 0.1
_MAX_DELAY_S: Final = 30.0
_MAX_DOUBLINGS: Final = 20

log = structlog.get_logger(__name__)
StoreBatch = Callable[[Batch], Awaitable[None]]


class BatchExecution:
    """Stores batches, one a call.

    Args:
        bus: the connection, for dead letters.
        store: stores a batch, all of it or nothing; it returns once the effect is durable.
        stop: ends the wait before another attempt.
    """

    def __init__(self, bus: Bus, store: StoreBatch, stop: asyncio.Event) -> None:
        self._bus = bus
        self._store = store
        self._stop = stop
        self.dead_letters = 0
        """How many messages have failed permanently."""

    async def run(self, batch: Batch) -> None:
        """Store a batch.

        Raises:
            OrderLost: the stored position is not that of the batch.
            StoppedEarly: ``stop`` was set before the batch could be stored.
        """
        failures = 0
        while True:
            try:
                await self._store(batch)
            except MessageFailed as error:
                await self._dead_letter(error.message, error.error)
                batch = batch.without(error.message)
            except OrderLost:
                raise
            except Transient as error:
                failures += 1
                await self._defer(error, failures)
            except Exception as error:  # noqa: BLE001 (reported with the message that causes it)
                failures += 1
                if await self._is_general(batch):
                    await self._defer(error, failures)
                else:
                    await self._isolate(batch, error)
                    return
            else:
                return

    async def _isolate(self, batch: Batch, error: Exception) -> None:
        """Store the messages of a batch that can be stored."""
        if len(batch.messages) > 1:
            for half in batch.halves():
                await self.run(half)
            return
        (message,) = batch.messages
        log.error("message_not_stored", exc_info=error, sequence=message.sequence)
        await self._dead_letter(message, error)
        await self.run(batch.without(message))

    async def _is_general(self, batch: Batch) -> bool:
        """Return whether storing fails without the messages, too."""
        if not batch.messages:
            return True
        try:
            await self._store(batch.before_first())
        except Exception:  # noqa: BLE001 (the error of the batch itself is reported)
            return True
        return False

    async def _dead_letter(self, message: StreamMessage, error: Exception) -> None:
        failures = 0
        while True:
            try:
                letter = await dead_letters.publish(self._bus, message.content, error)
            except BrokerUnavailable as unavailable:
                failures += 1
                await self._defer(unavailable, failures)
            else:
                break
        self.dead_letters += 1
        log.error(
            "message_dead",
            subject=message.subject,
            sequence=message.sequence,
            error=str(error) or type(error).__name__,
            dead_letter=letter.seq,
        )

    async def _defer(self, error: Exception, failures: int) -> None:
        requested_s = error.retry_after_s if isinstance(error, Transient) else None
        delay_s = delay_after(failures, requested_s)
        details = {} if isinstance(error, Transient) else {"exc_info": error}
        log.warning("batch_deferred", error=str(error), failures=failures, retry_in_s=delay_s, **details)
        try:
            async with asyncio.timeout(delay_s):
                await self._stop.wait()
        except TimeoutError:
            return
        raise StoppedEarly


def delay_after(failures: int, requested_s: float | None = None) -> float:
    """Return the delay in seconds after the ``failures``-th failure in a row."""
    grown: float = _MIN_DELAY_S * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
    return min(_MAX_DELAY_S, max(grown, requested_s or 0.0))
