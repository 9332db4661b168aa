"""A stand-in of the fetcher's and the importer's part in runs: each of their jobs ends at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nats.aio.msg import Msg
from nats.micro.request import Request

from gexlake.api.chronox.bars import (
    BAR_COVERAGE,
    BarCoverageRequest,
    BarCoverageResponse,
    DayRange,
    SymbolCoverage,
)
from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import Bus, utc_now
from shared.bus.envelope import decode
from shared.bus.feeds.bar_messages import encoded, snapshot_message
from shared.bus.messages import FetchFile, JobFailed, RowsPublished
from shared.bus.reports.presence import announce_service
from shared.massive.resources import MassiveUrls, Resource, Snapshots
from shared.massive.snapshots import MarketSnapshot
from shared.sources.url_encryption import UrlCipher
from tests.support.values import URL_KEY


@dataclass
class FakeChronox:
    """Ends jobs as ``failures`` says, and knows ``complete`` days."""

    bus: Bus
    complete: dict[str, tuple[DayRange, ...]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Errors by a part of the URL."""
    unknown: frozenset[str] = frozenset()
    """Symbols without a snapshot."""
    fetched: list[Resource] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, jobs wait."""
    on_fetch: Callable[[Resource], object] | None = None

    def __post_init__(self) -> None:
        self.held.set()

    async def on_command(self, message: Msg) -> None:
        """Carry out one fetch command."""
        command = decode(message.subject, message.data).open(message.subject)
        assert isinstance(command, FetchFile)
        url = UrlCipher((URL_KEY,), Path()).url_of(command)
        resource = MassiveUrls().resource_of(url)
        assert resource is not None, url
        self.fetched.append(resource)
        await self.held.wait()
        error = next((error for part, error in self.failures.items() if part in url), None)
        if error is not None:
            failed = JobFailed(job=command.job, stage=Stage.FETCH, failures=1, final=True, error=error)
            await self.bus.publish_event(failed)
            return
        counts = {"bars": 390}
        if isinstance(resource, Snapshots):
            counts = {"snapshots": await self._publish(resource)}
        await self.bus.publish_event(RowsPublished(job=command.job, counts=counts))

    async def _publish(self, resource: Snapshots) -> int:
        published = [symbol for symbol in resource.symbols if symbol not in self.unknown]
        for symbol in published:
            message = encoded(snapshot_message(MarketSnapshot(symbol), utc_now()))
            await self.bus.publish(message.subject, message.data, subjects.CHRONOX, message.id)
        return len(published)

    async def on_coverage(self, request: Request) -> None:
        """Answer what the lake has."""
        asked = BarCoverageRequest.model_validate_json(request.data)
        covered = tuple(
            SymbolCoverage(symbol=symbol, bars=0, complete=self.complete.get(symbol, ()))
            for symbol in asked.symbols
        )
        await request.respond(BarCoverageResponse(symbols=covered).model_dump_json().encode())


@asynccontextmanager
async def fake_chronox(bus: Bus, *, has_key: bool = True) -> AsyncIterator[FakeChronox]:
    """Be the fetcher and the importer on the bus; without keys of flat files."""
    fake, running = FakeChronox(bus), set[asyncio.Task[None]]()

    async def start(message: Msg) -> None:
        task = asyncio.create_task(fake.on_command(message))
        running.add(task)
        task.add_done_callback(running.discard)

    async with (
        announce_service(bus, "importer", "stands in") as importer,
        announce_service(bus, "fetcher", "stands in", has_massive_key=has_key, has_massive_file_keys=False),
    ):
        await importer.add_endpoint(
            name="bar_coverage", subject=BAR_COVERAGE.subject, handler=fake.on_coverage
        )
        subscription = await bus.client.subscribe(subjects.commands(Stage.FETCH), cb=start)
        await bus.client.flush()
        yield fake
        await subscription.unsubscribe()
        for task in tuple(running):
            task.cancel()
