"""The newest message of each subject of a stream."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Final, NamedTuple

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors

_BATCH: Final = 500
_WAIT_S: Final = 3.0


class Stored(NamedTuple):
    """A stored message."""

    sequence: int
    at: datetime
    """When it was stored (UTC)."""
    data: bytes = b""
    """Its content, if that was asked for."""


async def last_messages(
    bus: Bus, stream: str, subject: str, *, with_content: bool = False
) -> dict[str, Stored]:
    """Return the newest message of each subject.

    Args:
        bus: the connection.
        stream: its name.
        subject: a filter of its subjects.
        with_content: whether their contents are read, too.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        ack_policy=AckPolicy.NONE,
        filter_subject=subject,
        headers_only=not with_content,
        inactive_threshold=2 * _WAIT_S,
        mem_storage=True,
        num_replicas=1,
    )
    found: dict[str, Stored] = {}
    with translate_errors(f"read {stream}"):
        consumer = await bus.js.add_consumer(stream, config)
        left, inbox = consumer.num_pending or 0, bus.client.new_inbox()
        replies = await bus.client.subscribe(inbox)
        try:
            while left > 0:
                batch = min(left, _BATCH)
                request = json.dumps({"batch": batch, "expires": int(_WAIT_S * 1e9)}).encode()
                await bus.client.publish(subjects.next_message(stream, consumer.name), request, inbox)
                for _ in range(batch):
                    async with asyncio.timeout(_WAIT_S):
                        message = await replies.next_msg(timeout=_WAIT_S)
                    if (message.headers or {}).get("Status"):  # some were removed since
                        return found
                    at = message.metadata
                    found[message.subject] = Stored(at.sequence.stream, at.timestamp, message.data)
                left -= batch
        finally:
            await replies.unsubscribe()
    return found
