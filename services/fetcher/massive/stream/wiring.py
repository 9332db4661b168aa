"""Build what follows the stream."""

from __future__ import annotations

import socket
from functools import partial
from typing import Final
from uuid import uuid4

from pydantic import SecretStr

from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import MassiveRest
from services.fetcher.massive.stream.client import LIMITS, BarStream, StreamLimits
from services.fetcher.massive.stream.last_bars import last_streamed
from services.fetcher.massive.stream.lease import StreamLease
from services.fetcher.massive.stream.storage import StreamStorage
from services.fetcher.massive.stream.supervisor import StreamParts, StreamSupervisor
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.symbol_registry import SymbolRegistry

MAX_BATCH: Final = 1000
"""Streamed bars are small, and thousands arrive at the end of a minute."""
AT_ONCE: Final = 4 * MAX_BATCH
"""One batch is prepared while the broker writes another."""
PUBLISH_WITHIN_S: Final = 4.0
"""Less than the margin of the lease: what is published later may come after the next owner's."""


def new_supervisor(
    bus: Bus,
    registry: SymbolRegistry,
    url: str,
    key: SecretStr | None,
    rest: MassiveRest,
    limits: StreamLimits = LIMITS,
) -> StreamSupervisor:
    """Return what follows the stream for the symbols of a registry.

    Args:
        bus: the connection.
        registry: the symbols.
        url: of the stream.
        key: the API key; without one, no stream is followed.
        rest: fetches what the stream has missed.
        limits: times and sizes of the stream.
    """
    if key is None:
        return StreamSupervisor(registry, None)
    lease = StreamLease(bus, f"{socket.gethostname()}-{uuid4().hex[:8]}")
    messages = FeedPublisher(
        lambda: bus, answer_within_s=PUBLISH_WITHIN_S, stream=subjects.CHRONOX, max_batch=MAX_BATCH
    )
    storage = StreamStorage(
        BarPublisher(messages, bus.clock, AT_ONCE),
        rest,
        partial(last_streamed, bus),
        lease.require,
        bus.clock,
    )
    return StreamSupervisor(registry, StreamParts(BarStream(url, key, storage, limits), storage, lease))
