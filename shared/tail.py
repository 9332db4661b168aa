"""Follow a stream from its first message, forever, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from shared.bus import Bus, translated
from shared.errors import BrokerUnavailable

_BATCH: Final = 500
_WAIT_S: Final = 10.0
_RETRY_S: Final = 0.5
_ENDS_WITHIN_S: Final = 1.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Tailed:
    """A message of the stream, or (``data`` None) the news that its end was reached for the first time."""

    sequence: int
    subject: str
    data: bytes | None


async def follow(bus: Bus, stream: str, subject: str) -> AsyncIterator[Tailed]:
    """Yield every message of ``stream`` under ``subject``, the oldest first, then new ones as they come.

    When all that was there at the start has been told, one item with ``data`` None is told, once.
    """
    next_sequence, caught_up = 1, False
    while True:
        try:
            with translated(f"follow {stream}"):
                next_sequence = await _start(bus, stream, next_sequence)
                async with _consumer(bus, stream, subject, next_sequence) as (subscription, waiting):
                    pending = waiting
                    while True:
                        if pending == 0 and not caught_up:
                            caught_up = True
                            yield Tailed(next_sequence - 1, "", None)
                        for message in await _next(bus, subscription):
                            at = message.metadata
                            yield Tailed(at.sequence.stream, message.subject, message.data)
                            next_sequence, pending = at.sequence.stream + 1, at.num_pending
        except (BrokerUnavailable, NotFoundError) as error:
            log.debug("tail_interrupted", stream=stream, error=str(error))
            await asyncio.sleep(_RETRY_S)


async def _next(bus: Bus, subscription: JetStreamContext.PullSubscription) -> list[Msg]:
    messages = await fetch(bus, subscription, _BATCH, _WAIT_S)
    if not messages:
        await subscription.consumer_info()  # deleted, it would stay silent for ever
    return messages


async def _start(bus: Bus, stream: str, next_sequence: int) -> int:
    """Return where to go on; a stream that is shorter than what was read of it is another one."""
    last = (await bus.js.stream_info(stream)).state.last_seq
    if last < next_sequence - 1:
        log.warning("stream_started_over", stream=stream, last_seq=last)
        return 1
    return next_sequence


@asynccontextmanager
async def _consumer(
    bus: Bus, stream: str, subject: str, start: int
) -> AsyncIterator[tuple[JetStreamContext.PullSubscription, int]]:
    """Yield a consumer that begins at a sequence, and how many messages wait for it."""
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
    subscription = await bus.js.pull_subscribe_bind(created.name, stream)
    try:
        yield subscription, created.num_pending or 0
    finally:
        with suppress(BrokerUnavailable), translated("stop following"):
            await subscription.unsubscribe()


async def fetch(
    bus: Bus, subscription: JetStreamContext.PullSubscription, batch: int, wait_s: float
) -> list[Msg]:
    """Return the next messages of a pull consumer, none if none came within ``wait_s``.

    A fetch that is pending when the connection comes back is given up at once: it would wait out its time.

    Raises:
        BrokerUnavailable: that has happened.
    """
    # No heartbeats: nats-py asks for them even without an expiry, is refused, and loses what it has in hand.
    _heed_cancellation()
    fetching = asyncio.ensure_future(subscription.fetch(batch, timeout=wait_s))
    fetching.add_done_callback(_retrieve)
    bus.on_reconnect(fetching.cancel)
    try:
        await asyncio.wait({fetching})
        _heed_cancellation()
        if fetching.cancelled():
            raise BrokerUnavailable("follow a stream across a reconnect")
        return fetching.result()
    except NatsTimeoutError:
        return []
    finally:
        bus.forget(fetching.cancel)
        if not fetching.done():
            fetching.cancel()
            await asyncio.wait({fetching}, timeout=_ENDS_WITHIN_S)  # before the connection is closed under it


def _heed_cancellation() -> None:
    """End a cancelled task: before Python 3.12, ``wait_for`` loses a cancellation that meets its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _retrieve(fetching: asyncio.Future[list[Msg]]) -> None:
    """Look at an error that nobody waits for any more."""
    if not fetching.cancelled():
        fetching.exception()
