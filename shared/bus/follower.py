"""Follow a stream from its first message, forever, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable

_BATCH: Final = 500
_WAIT_S: Final = 10.0
_RETRY_S: Final = 0.5
_BACK: Final = None
"""Stands in a reader's queue for: the connection was lost and is back, what was asked for will not come."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Followed:
    """A message of the stream, or (``data`` None) the news that its end was reached for the first time."""

    sequence: int
    subject: str
    data: bytes | None


async def follow(bus: Bus, stream: str, subject: str) -> AsyncIterator[Followed]:
    """Yield every message of ``stream`` under ``subject``, the oldest first, then new ones as they come.

    When all that was there at the start has been told, one item with ``data`` None is told, once.
    """
    next_sequence, caught_up = 1, False
    while True:
        try:
            with translate_errors(f"follow {stream}"):
                next_sequence = await _start(bus, stream, next_sequence)
                async with _reader(bus, stream, subject, next_sequence) as reader:
                    pending = reader.waiting
                    while True:
                        if pending == 0 and not caught_up:
                            caught_up = True
                            yield Followed(next_sequence - 1, "", None)
                        # Not more than there is: a pull for more would end, and the end be told, only when
                        # its time is up.
                        async for message in reader.pull(min(pending, _BATCH) or _BATCH):
                            at = message.metadata
                            yield Followed(at.sequence.stream, message.subject, message.data)
                            next_sequence, pending = at.sequence.stream + 1, at.num_pending
        except (BrokerUnavailable, NotFoundError) as error:
            _heed_cancellation()
            log.debug("tail_interrupted", stream=stream, error=str(error))
            await asyncio.sleep(_RETRY_S)


async def _start(bus: Bus, stream: str, next_sequence: int) -> int:
    """Return where to go on; a stream that is shorter than what was read of it is another one."""
    last = (await bus.js.stream_info(stream)).state.last_seq
    if last < next_sequence - 1:
        log.warning("stream_started_over", stream=stream, last_seq=last)
        return 1
    return next_sequence


class _Reader:
    """Pulls from one consumer by requests of its own.

    nats-py's ``fetch`` hides a task that outlives a cancelled caller; here nothing is left running.
    """

    def __init__(self, bus: Bus, stream: str, consumer: str, waiting: int) -> None:
        self.waiting = waiting
        """How many messages the consumer had when it was made."""
        self.inbox = bus.client.new_inbox()
        self.arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._bus = bus
        self._stream = stream
        self._consumer = consumer

    async def arrive(self, message: Msg) -> None:
        self.arrived.put_nowait(message)

    def reconnected(self) -> None:
        self.arrived.put_nowait(_BACK)

    async def pull(self, batch: int) -> AsyncIterator[Msg]:
        """Yield the next messages, at most ``batch``; none if none came within ``_WAIT_S``.

        Raises:
            BrokerUnavailable: the connection was lost meanwhile.
            NotFoundError: the consumer is gone.
        """
        _heed_cancellation()
        request = {"batch": batch, "expires": int(_WAIT_S * 1e9)}
        await self._bus.client.publish(
            subjects.next_message(self._stream, self._consumer), json.dumps(request).encode(), self.inbox
        )
        for _ in range(batch):
            try:
                async with asyncio.timeout(_WAIT_S + 1):
                    message = await self.arrived.get()
            except TimeoutError:
                break
            if message is _BACK:
                raise BrokerUnavailable(f"follow {self._stream} across a reconnect")
            if (message.headers or {}).get("Status"):
                break
            yield message
        else:
            return
        # It answers nothing for ever once it is deleted, and that only this call tells.
        await self._bus.js.consumer_info(self._stream, self._consumer)


@asynccontextmanager
async def _reader(bus: Bus, stream: str, subject: str, start: int) -> AsyncIterator[_Reader]:
    """Yield the reader of a consumer that begins at a sequence."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_policy=AckPolicy.NONE,
        filter_subject=subject,
        inactive_threshold=6 * _WAIT_S,
        mem_storage=True,
        num_replicas=1,
    )
    created = await bus.js.add_consumer(stream, config)
    reader = _Reader(bus, stream, created.name, created.num_pending or 0)
    subscription = await bus.client.subscribe(reader.inbox, cb=reader.arrive)
    bus.on_reconnect(reader.reconnected)
    try:
        yield reader
    finally:
        bus.remove_reconnect_callback(reader.reconnected)
        with suppress(BrokerUnavailable), translate_errors("stop following"):
            await subscription.unsubscribe()


def _heed_cancellation() -> None:
    """End a cancelled task: before Python 3.12, the ``wait_for`` in a request of nats-py may lose that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
