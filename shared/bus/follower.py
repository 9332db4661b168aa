"""Follow a stream across lost connections, deleted consumers and a new stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.connection import Bus, raise_if_cancelled, translate_errors
from shared.bus.envelope import TimedEvent, decode_event
from shared.errors import BrokerUnavailable, MalformedMessage

_BATCH: Final = 500
_WAIT_S: Final = 10.0
_RETRY_S: Final = 0.5
_RECONNECTED: Final = None
"""Put into a reader's queue after a reconnect: the broker has dropped the pending pull."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Followed:
    """A message of the stream; ``data`` is None in the one item that marks the end of the backlog."""

    sequence: int
    subject: str
    data: bytes | None
    at: datetime | None = None
    """When the message was stored (UTC)."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FollowedEvent:
    """A position in EVENTS, and the event there."""

    sequence: int
    content: TimedEvent | None
    """None for a message that this version cannot read, and for the end of the backlog."""
    caught_up: bool
    """Whether all events that existed at the start have been yielded."""


async def follow_events(bus: Bus) -> AsyncIterator[FollowedEvent]:
    """Yield every event of EVENTS, the oldest first, then new ones as they come.

    An item with ``caught_up`` follows as soon as the backlog has been yielded, also when it is empty. When
    the stream was deleted and created again, its events are yielded from the first.
    """
    caught_up = has_logged = False
    async for message in follow(bus, subjects.EVENTS, subjects.ALL_EVENTS):
        content = None
        if message.data is None:
            caught_up = True
        else:
            try:
                content = decode_event(message.subject, message.data)
            except MalformedMessage as error:
                if not has_logged:  # a later version may have published a month of them
                    log.warning("event_unreadable", sequence=message.sequence, error=str(error))
                has_logged = True
        yield FollowedEvent(message.sequence, content, caught_up)


async def follow(
    bus: Bus, stream: str, subject: str, newest: int | None = None
) -> AsyncGenerator[Followed, None]:
    """Yield every message of ``stream`` under ``subject``, the oldest first, then new ones as they come.

    After the messages that existed at the start, one item with ``data`` None is yielded, once.

    Args:
        bus: the connection.
        stream: its name.
        subject: a subject, or a filter with wildcards.
        newest: begin among this many of the stream's newest messages, whatever their subjects; None for the
            first of all.
    """
    next_sequence: int | None = 1 if newest is None else None
    created_at: datetime | None = None
    caught_up = False
    while True:
        try:
            with translate_errors(f"follow {stream}"):
                found = await bus.js.stream_info(stream)
                is_new = created_at not in {None, found.created}
                next_sequence = _start(found, next_sequence, newest or 0, is_new=is_new)
                created_at = found.created
                async with _reader(bus, stream, subject, next_sequence) as reader:
                    pending = reader.waiting
                    while True:
                        if pending == 0 and not caught_up:
                            caught_up = True
                            yield Followed(next_sequence - 1, "", None)
                        # Never more than are pending: a larger pull returns only when its time is up.
                        async for message in reader.pull(min(pending, _BATCH) or _BATCH):
                            at = message.metadata
                            yield Followed(
                                at.sequence.stream,
                                message.subject,
                                message.data,
                                at.timestamp,
                                message.headers or {},
                            )
                            next_sequence, pending = at.sequence.stream + 1, at.num_pending
        except (BrokerUnavailable, NotFoundError) as error:
            raise_if_cancelled()
            log.debug("follower_interrupted", stream=stream, error=str(error))
            await asyncio.sleep(_RETRY_S)


def _start(found: StreamInfo, next_sequence: int | None, newest: int, *, is_new: bool) -> int:
    """Return the sequence to continue at; a stream that ends before what was read is a new one, too."""
    last = found.state.last_seq
    if next_sequence is None:
        return max(1, last - newest + 1)
    if is_new or last < next_sequence - 1:
        log.warning("stream_started_over", stream=found.config.name, last_seq=last)
        return 1
    return next_sequence


class _Reader:
    """Pulls from one consumer.

    nats-py's ordered consumer misses the first messages of a stream that was created again, and its ``fetch``
    waits out its timeout after a reconnect: see docs/adr/0026.
    """

    def __init__(self, bus: Bus, stream: str, consumer: str, waiting: int) -> None:
        self.waiting = waiting
        """How many messages the consumer had when it was created."""
        self.inbox = bus.client.new_inbox()
        self.arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._bus = bus
        self._stream = stream
        self._consumer = consumer

    async def on_message(self, message: Msg) -> None:
        self.arrived.put_nowait(message)

    def on_reconnect(self) -> None:
        self.arrived.put_nowait(_RECONNECTED)

    async def pull(self, batch: int) -> AsyncIterator[Msg]:
        """Yield the next messages, at most ``batch``; none if none came within ``_WAIT_S``.

        Raises:
            BrokerUnavailable: the connection was lost during the pull.
            NotFoundError: the consumer does not exist any more.
        """
        raise_if_cancelled()
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
            if message is _RECONNECTED:
                raise BrokerUnavailable(f"follow {self._stream} across a reconnect")
            if (message.headers or {}).get("Status"):
                break
            yield message
        else:
            return
        # The broker does not answer pulls of a deleted consumer; only this call reports it.
        await self._bus.js.consumer_info(self._stream, self._consumer)


@asynccontextmanager
async def _reader(bus: Bus, stream: str, subject: str, start: int) -> AsyncIterator[_Reader]:
    """Yield the reader of a new consumer that begins at a sequence."""
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
    subscription = await bus.client.subscribe(reader.inbox, cb=reader.on_message)
    bus.on_reconnect(reader.on_reconnect)
    try:
        yield reader
    finally:
        bus.remove_reconnect_callback(reader.on_reconnect)
        with suppress(BrokerUnavailable), translate_errors("stop following"):
            await subscription.unsubscribe()
