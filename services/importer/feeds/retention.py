"""Keep room in a stream: messages that the lake has are removed before the stream refuses new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from nats.js.api import StreamState
from nats.js.errors import NotFoundError

from services.importer.feeds.position import FeedPosition
from shared.bus import subjects
from shared.bus.connection import Bus, raise_if_cancelled, translate_errors
from shared.errors import BrokerUnavailable

_NEARLY_FULL: Final = 0.85
"""The share of its cap at which messages are removed."""
_LEFT: Final = 0.7
"""The share that is left."""
_LOOK_S: Final = 2.0

log = structlog.get_logger(__name__)


def first_to_keep(state: StreamState, max_bytes: int, stored: int) -> int | None:
    """Return the first message to keep, or None if none has to be removed, or can be.

    Args:
        state: of the stream.
        max_bytes: its cap.
        stored: the sequence number of the last message that the lake has.
    """
    if state.bytes < _NEARLY_FULL * max_bytes or not state.messages:
        return None
    surplus = state.bytes - _LEFT * max_bytes
    # Sizes differ, and the next look removes what this one leaves.
    wanted = state.first_seq + max(1, int(surplus / state.bytes * state.messages))
    first = min(wanted, stored + 1)
    return first if first > state.first_seq else None


async def keep_room(
    bus: Bus,
    position: Callable[[], FeedPosition | None],
    look_s: float = _LOOK_S,
    stream: str = subjects.FEED,
) -> None:
    """Look at a stream forever, and remove its oldest messages when it is nearly full.

    Args:
        bus: the connection.
        position: returns the last message that the lake has, if it is known.
        look_s: how often.
        stream: which.
    """
    while True:
        await asyncio.sleep(look_s)
        try:
            with translate_errors(f"keep room in {stream}"):
                await _remove(bus, position, stream)
        except (BrokerUnavailable, NotFoundError) as error:
            raise_if_cancelled()
            log.debug("feed_not_checked", stream=stream, error=str(error))


async def _remove(bus: Bus, position: Callable[[], FeedPosition | None], stream: str) -> None:
    if not bus.is_connected:
        return
    found = await bus.js.stream_info(stream)
    stored = position()
    # A stream that was created again has other messages under the same numbers.
    if stored is None or found.created != stored.created_at or found.state.last_seq < stored.sequence:
        return
    first = first_to_keep(found.state, found.config.max_bytes or 0, stored.sequence)
    if first is not None:
        await bus.js.purge_stream(stream, seq=first)
        log.info("feed_purged", stream=stream, messages=first - found.state.first_seq, first_seq=first)
