"""The importer's parts on a lake and a bus of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.importer.wiring import serve_on
from shared.bus.connection import Bus
from tests.support.importer.lake import LakeOnDisk


@contextlib.asynccontextmanager
async def importing(bus: Bus, lake: LakeOnDisk) -> AsyncIterator[None]:
    """Import and answer queries for as long as the context lasts; then close the lake."""
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_on(bus, lake.lake, lake.settings, stop))
    try:
        yield
    finally:
        stop.set()
        await serving
        lake.close()
