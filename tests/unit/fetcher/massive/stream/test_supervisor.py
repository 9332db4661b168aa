"""A fetcher without a key."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from services.fetcher.massive.stream.supervisor import StreamSupervisor
from shared.bus.follower import Followed
from shared.symbol_registry import SymbolRegistry
from tests.support.poll import eventually
from tests.support.values import NOON


async def test_without_a_key_it_is_said_once_that_the_stream_is_not_followed() -> None:
    registry, stop = SymbolRegistry(), asyncio.Event()
    supervisor = StreamSupervisor(registry, None)
    running = asyncio.create_task(supervisor.run(stop))
    with capture_logs() as logs:
        for number, symbol in enumerate(("AAPL", "MSFT"), 1):
            registered = RegisteredSymbol(
                symbol=symbol, strategy=Strategy.STREAM, streaming=True, created_at=NOON, updated_at=NOON
            )
            registry.put(symbol, registered, number)
            registry.take(Followed(0, "", None))
            await eventually(lambda: bool(logs))
        stop.set()
        await running
    assert [each["reason"] for each in logs] == ["POLYGON_API_KEY is not set"]
    assert supervisor.report is None
