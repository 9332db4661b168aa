"""Read what a stream holds from a sequence on, in pages and without a consumer (direct gets of JetStream)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nats.aio.msg import Msg

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.follower import Followed
from shared.errors import BrokerUnavailable

_TIMEOUT_S: Final = 3.0
_END: Final = "204"
_NOTHING: Final = "404"


@dataclass(frozen=True)
class Page:
    """Some messages in the order of the stream."""

    messages: tuple[Followed, ...]
    pending: int
    """How many more there were when the page was read."""


async def read_page(
    bus: Bus, stream: str, subject: str, start: int, *, max_messages: int, max_bytes: int
) -> Page:
    """Return the first messages under ``subject`` at or after a sequence.

    Args:
        bus: the connection.
        stream: its name; it allows direct gets.
        subject: a subject, or a filter with wildcards.
        start: the first sequence that may be returned.
        max_messages: how many messages a page has at most.
        max_bytes: how many bytes they may have together; a page has at least one message if there is one.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    request = {"seq": start, "next_by_subj": subject, "batch": max_messages, "max_bytes": max_bytes}
    inbox = bus.client.new_inbox()
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    with translate_errors(f"read {stream}"):
        subscription = await bus.client.subscribe(inbox, cb=arrived.put)
        try:
            await bus.client.publish(subjects.direct_get(stream), json.dumps(request).encode(), inbox)
            async with asyncio.timeout(_TIMEOUT_S):
                return await _collect(stream, arrived)
        finally:
            await subscription.unsubscribe()


async def _collect(stream: str, arrived: asyncio.Queue[Msg]) -> Page:
    found: list[Followed] = []
    while True:
        message = await arrived.get()
        headers = message.headers or {}
        match headers.get("Status"):
            case None:
                at = datetime.fromisoformat(headers["Nats-Time-Stamp"])
                found.append(
                    Followed(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, at)
                )
            case status if status == _END:
                return Page(tuple(found), int(headers.get("Nats-Num-Pending", "0")))
            case status if status == _NOTHING:
                return Page((), 0)
            case status:
                raise BrokerUnavailable(f"read {stream}: {status} {headers.get('Description', '')}".rstrip())
