"""A stand-in of the importer's endpoint that tells which days the lake holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from nats.micro.request import Request

from gexlake.api import services
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service

_LONG_AFTER: Final = "2025-12-01T00:00:00+00:00"


@dataclass
class FakeImporter:
    """Tells the standing of ``days``, or answers with a refusal or raw bytes when they are set."""

    days: dict[str, str] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None
    raw: bytes | None = None
    before_answer: Callable[[], Awaitable[None]] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: Request) -> None:
        asked = json.loads(request.data)
        self.asked.append(asked)
        if self.before_answer:
            await self.before_answer()
        if self.refusal:
            await request.respond_error(*self.refusal)
            return
        found = [
            {"ticker": asked["tickers"][0], "endpoint": asked["endpoints"][0], "trading_day": day}
            | {"standing": standing, "at": _LONG_AFTER}
            for day, standing in self.days.items()
        ]
        answer = json.dumps({"days": found, "truncated": False}).encode()
        await request.respond(answer if self.raw is None else self.raw)


@asynccontextmanager
async def fake_importer(bus: Bus) -> AsyncIterator[FakeImporter]:
    """Be the importer on the bus."""
    fake = FakeImporter()
    async with announce_service(bus, "importer", "stands in") as service:
        await service.add_endpoint(name="days", subject=services.DAYS.subject, handler=fake.handle)
        await bus.client.flush()
        yield fake
