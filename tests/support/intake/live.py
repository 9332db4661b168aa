"""Live snapshots for tests: made, put into FEED, and read from a running intake as its readers do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds.live_messages import LiveSnapshot, Snapshot, Strike, encode, live_snapshot

START_MS: Final = 1_763_132_400_000
START: Final = datetime(2025, 11, 14, 15, tzinfo=UTC)


def a_snapshot(second: int, ticker: str = "SPX", **columns: Any) -> Snapshot:
    """Return a snapshot whose timestamp and spot price tell it from others."""
    values = {"endpoint": "gex_zero", "spot_price": 6000.0 + second, "zero_gamma": 5990.5, **columns}
    return Snapshot(ticker=ticker, timestamp=START_MS + 1000 * second, **values)


def a_message(second: int, ticker: str = "SPX", **columns: Any) -> LiveSnapshot:
    """Return the message of such a snapshot."""
    return live_snapshot(a_snapshot(second, ticker, **columns), START + timedelta(seconds=second))


def strikes(count: int) -> list[Strike]:
    """Return strikes as a vendor sends them."""
    return [Strike(5000.0 + 5 * n, 1.5 * n, -2.5 * n, [1, 2.5, 3, 4.5, 5]) for n in range(count)]


async def publish_live(bus: Bus, *messages: LiveSnapshot) -> list[int]:
    """Put messages into FEED; return their places there."""
    acks = [
        await bus.publish(message.subject, encode(message), subjects.FEED, message.id) for message in messages
    ]
    return [ack.seq for ack in acks]


@dataclass
class Reader:
    """A reader of ``/gex/stream``, and what it got."""

    events: list[dict[str, Any]] = field(default_factory=list)
    """The data of all events; the gaps too."""
    last_id: str = ""

    @property
    def spots(self) -> list[float]:
        """What tells the snapshots apart."""
        return [event["spot_price"] for event in self.events]

    @property
    def ids(self) -> list[int]:
        """The ids of the events."""
        return [event["id"] for event in self.events]

    def take(self, event: ServerSentEvent) -> None:
        """Keep an event."""
        self.last_id = event.id or self.last_id
        if event.data:
            self.events.append(json.loads(event.data))


@asynccontextmanager
async def stream_of(
    http: httpx.AsyncClient, query: str = "", last_id: str = ""
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """Follow live snapshots; yields when the stream has begun."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with aconnect_sse(http, "GET", f"/gex/stream?{query}", headers=headers) as source:
        assert source.response.status_code == 200, await source.response.aread()
        events = source.aiter_sse()
        try:
            await anext(events)
            yield events
        finally:
            await events.aclose()


async def read(events: AsyncIterator[ServerSentEvent], count: int) -> list[dict[str, Any]]:
    """Return the data of the next events."""
    reader = Reader()
    while len(reader.events) < count:
        reader.take(await anext(events))
    return reader.events
