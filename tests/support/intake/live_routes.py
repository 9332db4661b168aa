"""Intake's application without a broker: what it publishes to FEED is kept in a list."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from services.intake.app import create_app
from services.intake.settings import IntakeSettings
from services.intake.wiring import wire
from shared.bus.feeds.batch_publisher import MAX_MESSAGE_BYTES, FeedPublisher, MessageTooLarge
from shared.bus.feeds.live_messages import EncodedMessage, LiveMessage, encoded
from shared.errors import GexlakeError
from tests.support.values import NOON


class FakeFeed(FeedPublisher):
    """Keeps what is published, or refuses all of it with ``error``."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        """Subjects and encoded messages."""
        self.error: GexlakeError | None = None

    async def publish(self, message: LiveMessage | EncodedMessage) -> None:
        if self.error is not None:
            raise self.error
        _, subject, data = message if isinstance(message, EncodedMessage) else encoded(message)
        if len(data) > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(len(data))
        self.published.append((subject, data))


@dataclass
class LiveRoutes:
    """The routes of live data, and a client of them."""

    http: httpx.AsyncClient
    feed: FakeFeed = field(default_factory=FakeFeed)


@asynccontextmanager
async def live_routes(settings: IntakeSettings | None = None) -> AsyncIterator[LiveRoutes]:
    """Return the application as a client sees it; by default almost without rate limits."""
    rate = "1000000/second"
    settings = settings or IntakeSettings(rate_limit_gex=rate, rate_limit_webhook=rate)
    feed = FakeFeed()
    context = dataclasses.replace(wire(settings, lambda: NOON), feed=feed)
    transport = httpx.ASGITransport(create_app(context), client=("192.0.2.7", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield LiveRoutes(http, feed)
