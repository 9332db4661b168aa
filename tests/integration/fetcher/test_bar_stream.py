"""The vendor's stream on its way to the lake: cut, refused and corrected, it ends as the vendor has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import MassiveRest
from services.fetcher.massive.stream.client import BarStream, StreamLimits
from services.fetcher.massive.stream.storage import StreamStorage
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import new_client
from shared.bus import subjects
from shared.bus.connection import Bus, utc_now
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.massive.bars import Bar
from shared.sources.gate import SourceGate
from simulator.massive.market import Market
from simulator.massive.rest import Answer
from simulator.massive.server import FakeMassive
from simulator.massive.stream import FakeStream, minute_event
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually

DAY = date(2026, 6, 5)
MARKET = Market({"AAPL": 1.0, "BRK.B": 0.6})
MINUTES = MARKET.session(DAY, extended=False).minutes[:40]
CUT_AFTER = (3, 12, 20, 29, 37)
FAULTS = (Answer(503, b""), Answer(429, b"", {"Retry-After": "0"}))
LIMITS = StreamLimits(first_retry_s=0.01, max_retry_s=0.05, answer_s=10)


class Vendor:
    """REST and the stream of one market, whose time the test sets."""

    def __init__(self, rest: FakeMassive, stream: FakeStream) -> None:
        self.rest = rest
        self.stream = stream
        self.now_ms = MINUTES[0]

    def tell(self, minute: int) -> None:
        """Let a minute end: REST has it, and whoever is connected is sent it."""
        self.now_ms = minute + 60_000
        self.send(minute)

    def send(self, minute: int) -> None:
        """Stream the bars of a minute as they are now."""
        bars = [(symbol, self._bar(symbol, minute)) for symbol in MARKET.symbols]
        self.stream.send([minute_event(symbol, bar) for symbol, bar in bars if bar])

    def correct(self, symbol: str, minute: int) -> None:
        """Report late trades of a minute."""
        if bar := self._bar(symbol, minute):
            late = msgspec.structs.replace(bar, volume=bar.volume + 100)
            self.rest.rest.changed[symbol, minute] = late

    def _bar(self, symbol: str, minute: int) -> Bar | None:
        return next((bar for bar in self.rest.rest.bars(symbol, DAY) if bar.timestamp == minute), None)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return what the lake should have."""
        return [
            (symbol, bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trades)
            for symbol in sorted(MARKET.symbols)
            for bar in self.rest.rest.bars(symbol, DAY)
            if bar.timestamp >= MINUTES[0]
        ]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with FakeMassive(MARKET, now=lambda: found.now_ms) as rest, FakeStream() as stream:
        found = Vendor(rest, stream)
        yield found


@pytest.mark.slow
async def test_a_stream_that_is_cut_again_and_again_ends_as_the_vendor_has_it(
    bus: Bus, vendor: Vendor, tmp_path: Path
) -> None:
    def clock() -> datetime:
        return datetime.fromtimestamp(vendor.now_ms / 1000, UTC)

    source, lake, stop = random.Random(3), LakeOnDisk(tmp_path / "data"), asyncio.Event()
    gate = SourceGate.parse((vendor.rest.base,))
    async with new_client(5, 5, GatedBackend(gate)) as client, importing(bus, lake):

        async def no_wait() -> None:
            pass

        rest = MassiveRest(client, vendor.rest.base, SecretStr(vendor.rest.key), no_wait)
        publisher = BarPublisher(FeedPublisher(lambda: bus, stream=subjects.CHRONOX), utc_now)
        storage = StreamStorage(publisher, rest, list(MARKET.symbols), clock, retry_s=0.01)
        key = SecretStr(vendor.stream.key)
        stream = BarStream(vendor.stream.url, key, list(MARKET.symbols), storage, LIMITS)
        running = asyncio.create_task(stream.run(stop))
        await eventually(lambda: vendor.stream.topics)
        for number, minute in enumerate(MINUTES):
            await asyncio.to_thread(vendor.tell, minute)
            if number and source.random() < 0.3:
                earlier = MINUTES[number - source.randrange(1, min(number, 5) + 1)]
                vendor.correct(source.choice(list(MARKET.symbols)), earlier)
                await asyncio.to_thread(vendor.send, earlier)
            if number in CUT_AFTER:
                await eventually(lambda: lake.rows("FROM ohlcv_1m LIMIT 1"))
                vendor.rest.answer_next(source.choice(FAULTS))
                await asyncio.to_thread(vendor.stream.disconnect, source.choice((1000, 1008, None)))
            elif number - 2 in CUT_AFTER:
                cuts = CUT_AFTER.index(number - 2) + 1
                await eventually(lambda: stream.connections == cuts + 1)  # noqa: B023 (called at once)
        columns = "symbol, timestamp, open, high, low, close, volume, vwap, trades"
        query = f"SELECT {columns} FROM ohlcv_1m WHERE timestamp >= {MINUTES[0]} ORDER BY symbol, timestamp"
        expected = vendor.rows()
        await eventually(
            lambda: lake.rows(query) == expected, what=lambda: str(set(expected) ^ set(lake.rows(query)))
        )
        assert stream.connections == len(CUT_AFTER) + 1
        assert storage.filled > 0
        stop.set()
        await running
