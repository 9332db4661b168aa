"""The fetcher's worker in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.fetcher.settings import FetcherSettings
from services.fetcher.wiring import new_worker
from shared.bus.connection import Bus
from shared.bus.consumer.worker import Worker


@asynccontextmanager
async def fetching(bus: Bus, settings: FetcherSettings) -> AsyncIterator[Worker]:
    """Fetch what is asked for meanwhile."""
    stop = asyncio.Event()
    async with new_worker(bus, settings) as worker:
        working = asyncio.create_task(worker.run(stop, drain_timeout_s=1))
        try:
            yield worker
        finally:
            stop.set()
            await working
