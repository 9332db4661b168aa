"""The connection to NATS: connect, publish with ack, read a job's last event, close.

Errors of nats-py are translated here, into ``BrokerUnavailable``, ``SequenceChanged`` and ``StreamFull``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import Header, PubAck
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from shared.bus import streams, subjects
from shared.bus.credentials import connect_options
from shared.bus.envelope import Envelope, TimedEvent, decode_event
from shared.bus.messages import Command, Event
from shared.errors import BrokerUnavailable, MalformedMessage, SequenceChanged, StoppedEarly, StreamFull
from shared.process.settings import DEFAULT_ACK_WAIT_S, DEFAULT_FEED_MAX_MB, Settings

PUBLISH_TIMEOUT_S: Final = 3.0
REPLAY_HEADER: Final = "Gex-Replay-Of"
STREAM_FULL: Final = 10077
"""JetStream's error code for a publish over the stream's byte cap."""
WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""JetStream's error codes for a publish whose expected last sequence is not the last one."""
_EXPECTED_SUBJECT: Final = f"{Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value}-Subject"

_WRITE_AFTER_LOSS: Final = TypeError
"""What asyncio of Python 3.12 and 3.13 raises when nats-py writes to a connection that was just lost."""
_CLOSED_IN_UVLOOP: Final = "unable to perform operation on"
"""How the RuntimeError begins that uvloop raises then."""

_REFUSALS: Final = ("authorization", "permissions violation")
_REFUSAL_HINT: Final = (
    "the user, its password or what it may do is not what the broker expects: see GEXLAKE_SECRETS_DIR, "
    "GEXLAKE_NATS_USER and GEXLAKE_NATS_PASSWORD, and deploy/nats.conf"
)

_CLOSE_TIMEOUT_S: Final = 1.5
"""For the flush and for the close, each: the broker may be unreachable."""
_CANCEL_AGAIN_AFTER_S: Final = 0.05

log = structlog.get_logger(__name__)
E = TypeVar("E", bound=Event)
T = TypeVar("T")


@dataclass(frozen=True)
class LastEvent:
    """The newest message of EVENTS under a subject or a filter."""

    subject: str
    """The subject or filter."""
    sequence: int = 0
    """0 when there is none."""
    content: TimedEvent | None = None
    """None when there is none, or none that this version can read."""


def utc_now() -> datetime:
    """Return the current time; the default clock of a service."""
    return datetime.now(UTC)


class Bus:
    """A connection to NATS, with JetStream."""

    def __init__(self, client: Client, clock: Callable[[], datetime] = utc_now) -> None:
        self.client = client
        self.clock = clock
        self.ack_wait_s = DEFAULT_ACK_WAIT_S
        """The broker redelivers a message after this long without an in-progress heartbeat."""
        self.feed_max_mb = DEFAULT_FEED_MAX_MB
        """The byte cap of ``FEED``, in MiB."""
        self.closed = asyncio.Event()
        """Set once the connection is closed for good: the service then exits."""
        self._on_reconnect: list[Callable[[], object]] = []
        self._closing = False
        self._refusals: set[str] = set()
        """What the broker refused since the last connect: each is logged once."""

    @property
    def js(self) -> JetStreamContext:
        """JetStream, with this module's request timeout."""
        return self.client.jetstream(timeout=PUBLISH_TIMEOUT_S)

    @property
    def is_connected(self) -> bool:
        """Whether the client currently holds a connection."""
        return bool(self.client.is_connected)

    @classmethod
    async def connect(cls, settings: Settings, name: str) -> Bus:
        """Connect, waiting for the broker without a time limit."""
        bus = cls(Client())
        options = connect_options(settings, name)
        bus.ack_wait_s = settings.ack_wait_s
        bus.feed_max_mb = settings.feed_max_mb
        waiting = asyncio.create_task(_log_if_waiting(settings.broker_url))
        try:
            await bus.client.connect(
                settings.broker_url,
                name=name,
                **options,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                ping_interval=5,
                max_outstanding_pings=2,
                connect_timeout=3,
                error_cb=bus._failed,
                disconnected_cb=bus._disconnected,
                reconnected_cb=bus._reconnected,
                closed_cb=bus._closed,
            )
        finally:
            waiting.cancel()
        return bus

    def on_reconnect(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` after every reconnect."""
        self._on_reconnect.append(callback)

    def remove_reconnect_callback(self, callback: Callable[[], object]) -> None:
        """Stop calling ``callback`` after reconnects."""
        self._on_reconnect.remove(callback)

    async def apply_streams(self, replicas: int = 1) -> None:
        """Apply the stream and consumer definitions to the broker.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        with translate_errors("apply the stream definitions"):
            await streams.apply(
                self.js, replicas=replicas, ack_wait_s=self.ack_wait_s, feed_max_mb=self.feed_max_mb
            )

    async def publish_command(self, command: Command, replay_of: str | None = None) -> PubAck:
        """Publish a command and await its ack.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: JOBS is at its byte cap.
        """
        headers = {REPLAY_HEADER: replay_of} if replay_of else {}
        sealed = Envelope.seal(command, self.clock())
        return await self.publish(command.subject, sealed.encode(), subjects.JOBS, command.msg_id, headers)

    async def publish_event(
        self, event: Event, at: datetime | None = None, last: LastEvent | None = None
    ) -> PubAck:
        """Publish an event and await its ack; a second copy within the dedupe window is dropped.

        Args:
            event: the event.
            at: when it occurred; now, if not given.
            last: the event is refused unless this is still the last of its subject or filter.

        Raises:
            BrokerUnavailable: no ack in time.
            SequenceChanged: ``last`` is not the last any more; nothing is stored.
        """
        sealed = Envelope.seal(event, at or self.clock())
        headers = (
            {
                Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(last.sequence),
                _EXPECTED_SUBJECT: last.subject,
            }
            if last
            else None
        )
        return await self.publish(event.subject, sealed.encode(), subjects.EVENTS, event.msg_id, headers)

    async def publish(
        self, subject: str, data: bytes, stream: str, msg_id: str, headers: dict[str, str] | None = None
    ) -> PubAck:
        """Publish to a stream and await its ack.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: the stream is at its byte cap.
        """
        if not self.is_connected:
            raise BrokerUnavailable(f"publish to {stream}")
        with translate_errors(f"publish to {stream}", stream):
            return await self.js.publish(
                subject, data, stream=stream, headers={"Nats-Msg-Id": msg_id, **(headers or {})}
            )

    async def last_event(self, event_type: type[E], job_id: UUID) -> E | None:
        """Return the newest event of one type about a job, or None when there is none that can be read.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        last = await self.read_last(subjects.event(event_type.EVENT_TYPE, job_id))
        event = last.content.event if last.content else None
        return event if isinstance(event, event_type) else None

    async def read_last(self, subject: str) -> LastEvent:
        """Return the newest message of EVENTS under a subject, or a filter with wildcards.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        with translate_errors(f"read {subjects.EVENTS}"):
            try:
                message = await self.js.get_last_msg(subjects.EVENTS, subject)
            except NotFoundError:
                return LastEvent(subject)
        sequence = message.seq or 0
        try:
            return LastEvent(subject, sequence, decode_event(subject, message.data or b""))
        except MalformedMessage as error:  # published by a later version
            log.warning("event_unreadable", error=str(error))
            return LastEvent(subject, sequence)

    async def close(self) -> None:
        """Flush and disconnect; an unreachable broker is no error."""
        self._closing = True
        with contextlib.suppress(BrokerUnavailable), translate_errors("flush"):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if self.is_connected:
                    # Not drain(): it also waits for subscriptions that are no longer read.
                    await self.client.flush()
        with contextlib.suppress(BrokerUnavailable), translate_errors("close the connection"):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if not self.client.is_closed:
                    await self.client.close()
        await self._end_reconnecting()

    async def _end_reconnecting(self) -> None:
        """End nats-py's task that reconnects, which would keep the event loop from closing.

        Before Python 3.12, ``wait_for`` loses a cancellation at the moment at which a connection is refused,
        and ``close`` cancels the task only once.
        """
        task = self.client._reconnection_task  # noqa: SLF001 (nothing public ends it)
        while task is not None and not task.done() and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_AGAIN_AFTER_S)

    async def _failed(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if any(refusal in text.lower() for refusal in _REFUSALS) and text not in self._refusals:
            self._refusals.add(text)
            log.error("broker_refused", error=text, hint=_REFUSAL_HINT)
        else:
            log.debug("broker_error", error=text)

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("broker_disconnected")

    async def _reconnected(self) -> None:
        log.info("broker_reconnected")
        self._refusals.clear()
        for callback in tuple(self._on_reconnect):
            callback()

    async def _closed(self) -> None:
        self.closed.set()


@contextlib.asynccontextmanager
async def connected(settings: Settings, name: str, stop: asyncio.Event | None = None) -> AsyncIterator[Bus]:
    """Connect, apply the stream definitions, and close on exit.

    Args:
        settings: the broker's URL; there is no time limit on connecting.
        name: the connection's name on the broker.
        stop: aborts the connecting.

    Raises:
        StoppedEarly: ``stop`` was set before the connection was made.
    """
    bus = await _unless_stopped(Bus.connect(settings, name), stop)
    try:
        await _unless_stopped(_apply_streams(bus, settings.stream_replicas), stop)
        yield bus
    finally:
        await bus.close()


async def _apply_streams(bus: Bus, replicas: int) -> None:
    while True:
        try:
            return await bus.apply_streams(replicas)
        except BrokerUnavailable as error:
            log.warning("streams_not_applied", error=str(error), retry_in_s=1)
            await asyncio.sleep(1)


async def _unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event | None) -> T:
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait() if stop is not None else asyncio.Event().wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise StoppedEarly
    finally:
        stopping.cancel()
        working.cancel()


@contextlib.contextmanager
def translate_errors(doing: str, stream: str = "") -> Iterator[None]:
    """Translate errors of nats-py into those of ``shared.errors``.

    Args:
        doing: the operation, as a phrase for the error text.
        stream: the stream that may be full.

    Raises:
        BrokerUnavailable: any error of nats-py but those below.
        StreamFull: the stream is at its byte cap.
        SequenceChanged: the last sequence is not the expected one.
        NotFoundError: unchanged, for the caller to handle.
    """
    try:
        yield
    except NotFoundError:
        raise
    except APIError as error:
        if error.err_code == STREAM_FULL:
            raise StreamFull(stream) from error
        if error.err_code in WRONG_LAST_SEQUENCE:
            raise SequenceChanged(doing) from error
        raise BrokerUnavailable(f"{doing}: {error.description}") from error
    except (TimeoutError, NatsError, JetStreamError, OSError, _WRITE_AFTER_LOSS) as error:
        raise BrokerUnavailable(doing) from error
    except RuntimeError as error:
        if not str(error).startswith(_CLOSED_IN_UVLOOP):
            raise
        raise BrokerUnavailable(doing) from error


async def _log_if_waiting(url: str) -> None:
    await asyncio.sleep(2)
    log.warning("waiting_for_broker", url=url)


def raise_if_cancelled() -> None:
    """Raise the cancellation that ``wait_for`` in a request of nats-py may lose before Python 3.12."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
