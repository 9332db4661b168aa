"""Following the vendor's websocket through its ways to end a connection."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date

import pytest
from pydantic import SecretStr

from services.fetcher.massive.errors import MassiveKeyRefused
from services.fetcher.massive.stream.client import BarStream, StreamLimits
from services.fetcher.massive.stream.events import Frame, StreamBar
from services.fetcher.massive.stream.subscription import MAX_TOPICS
from shared.errors import BrokerUnavailable
from simulator.massive.market import Market
from simulator.massive.server import KEY
from simulator.massive.stream import FakeStream, minute_event
from tests.support.poll import eventually

BARS = Market({"AAPL": 1.0}).bars("AAPL", date(2026, 6, 5))
LIMITS = StreamLimits(first_retry_s=0.01, max_retry_s=0.05, too_many_retry_s=0.02, answer_s=5)


class Handler:
    """Keeps what it is given; ``error`` is raised once."""

    def __init__(self) -> None:
        self.bars: list[StreamBar] = []
        self.subscriptions: list[set[str]] = []
        self.dropped: list[set[str]] = []
        self.error: Exception | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def subscribed(self, symbols: frozenset[str]) -> None:
        self.subscriptions.append(set(symbols))

    def unsubscribed(self, symbols: frozenset[str]) -> None:
        self.dropped.append(set(symbols))

    async def frame(self, frame: Frame) -> None:
        await self.goes_on.wait()
        error, self.error = self.error, None
        if error:
            raise error
        self.bars += frame.bars

    async def fill(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def vendor() -> Iterator[FakeStream]:
    with FakeStream() as running:
        yield running


@asynccontextmanager
async def following(
    vendor: FakeStream, limits: StreamLimits = LIMITS
) -> AsyncIterator[tuple[BarStream, Handler]]:
    handler, stop = Handler(), asyncio.Event()
    stream = BarStream(vendor.url, SecretStr(vendor.key), handler, limits)
    stream.follow(["AAPL"])
    running = asyncio.create_task(stream.run(stop))
    try:
        await eventually(lambda: bool(handler.subscriptions))
        yield stream, handler
    finally:
        stop.set()
        await running


async def send(vendor: FakeStream, *numbers: int, symbol: str = "AAPL") -> None:
    await asyncio.to_thread(vendor.send, [minute_event(symbol, BARS[number]) for number in numbers])


async def test_bars_arrive_in_their_order_and_a_later_one_of_a_minute_again(vendor: FakeStream) -> None:
    async with following(vendor) as (_, handler):
        await send(vendor, 0, 1)
        await send(vendor, 0)
        await eventually(lambda: len(handler.bars) == 3)
    assert handler.bars == [StreamBar("AAPL", BARS[number]) for number in (0, 1, 0)]
    assert handler.subscriptions == [{"AAPL"}]
    assert vendor.frames == [
        {"action": "auth", "params": "…"},
        {"action": "subscribe", "params": "AM.AAPL"},
    ]


@pytest.mark.parametrize("code", [1000, 1008, None])
async def test_after_any_end_of_a_connection_it_subscribes_again(
    vendor: FakeStream, code: int | None
) -> None:
    async with following(vendor) as (stream, handler):
        await send(vendor, 0, 1)
        await eventually(lambda: len(handler.bars) == 2)
        await asyncio.to_thread(vendor.disconnect, code)
        await eventually(lambda: stream.connections == 2)
        await send(vendor, 2)
        await eventually(lambda: len(handler.bars) == 3)
    assert handler.subscriptions == [{"AAPL"}, {"AAPL"}]


async def test_symbols_come_and_go_on_the_open_connection(vendor: FakeStream) -> None:
    async with following(vendor) as (stream, handler):
        stream.follow(["AAPL", "MSFT"])
        await eventually(lambda: len(handler.subscriptions) == 2)
        await send(vendor, 0, symbol="MSFT")
        await eventually(lambda: len(handler.bars) == 1)
        stream.follow(["MSFT"])
        await eventually(lambda: vendor.topics == {"AM.MSFT"})
    assert handler.subscriptions == [{"AAPL"}, {"MSFT"}]
    assert handler.dropped == [{"AAPL"}]
    assert [found.symbol for found in handler.bars] == ["MSFT"]
    assert stream.connections == 1


async def test_too_many_connections_are_waited_for(vendor: FakeStream) -> None:
    async with following(vendor):
        handler, stop = Handler(), asyncio.Event()
        other = BarStream(vendor.url, SecretStr(vendor.key), handler, LIMITS)
        other.follow(["AAPL"])
        running = asyncio.create_task(other.run(stop))
        await eventually(lambda: vendor.accepted >= 4)
        vendor.max_connections = 2

        async def arrived() -> bool:
            await send(vendor, 0)
            return bool(handler.bars)

        await eventually(arrived)
        stop.set()
        await running


async def test_no_part_of_a_long_key_is_logged(vendor: FakeStream, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "websockets.client")
    caplog.set_level(logging.DEBUG, "websockets")
    with pytest.raises(MassiveKeyRefused):
        await BarStream(vendor.url, SecretStr("key-of-client" * 8), Handler(), LIMITS).run(asyncio.Event())
    sent = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert not any("key-of-client" in text for text in sent)


async def test_a_key_that_is_refused_ends_it(vendor: FakeStream) -> None:
    stream = BarStream(vendor.url, SecretStr("wrong"), Handler(), LIMITS)
    with pytest.raises(MassiveKeyRefused, match="does not accept the key in POLYGON_API_KEY"):
        await stream.run(asyncio.Event())


async def test_after_bars_that_could_not_be_handled_it_subscribes_again(
    vendor: FakeStream,
) -> None:
    async with following(vendor) as (stream, handler):
        await send(vendor, 0)
        await eventually(lambda: len(handler.bars) == 1)
        handler.error = BrokerUnavailable("publish")
        await send(vendor, 1)
        await eventually(lambda: stream.connections == 2)
    assert handler.subscriptions == [{"AAPL"}, {"AAPL"}]


async def test_a_handler_that_is_too_slow_ends_the_connection_and_loses_nothing_that_it_was_given(
    vendor: FakeStream,
) -> None:
    limits = StreamLimits(first_retry_s=0.01, answer_s=5, max_buffered=3)
    async with following(vendor, limits) as (stream, handler):
        handler.goes_on.clear()
        await send(vendor, 0)
        for number in range(1, 6):
            await send(vendor, number)
        await eventually(lambda: not vendor.topics)
        handler.goes_on.set()
        await eventually(lambda: stream.connections == 2)
    given = [found.bar for found in handler.bars]
    assert given == list(BARS[: len(given)])
    assert len(handler.subscriptions) == 2


async def test_frames_that_are_not_known_are_counted_and_the_connection_stays(vendor: FakeStream) -> None:
    async with following(vendor) as (stream, handler):
        await asyncio.to_thread(vendor.send_text, "<html>")
        await asyncio.to_thread(vendor.send_text, json.dumps([{"ev": "LULD", "T": "AAPL"}]))
        await send(vendor, 0)
        await eventually(lambda: len(handler.bars) == 1)
    assert stream.unknown == {"not JSON": 1, "LULD": 1}
    assert stream.connections == 1


async def test_it_keeps_trying_while_the_vendor_is_down(unused_tcp_port: int) -> None:
    stop, handler = asyncio.Event(), Handler()
    url = f"ws://127.0.0.1:{unused_tcp_port}/stocks"
    stream = BarStream(url, SecretStr(KEY), handler, LIMITS)
    stream.follow([f"S{number}" for number in range(MAX_TOPICS + 1)])
    running = asyncio.create_task(stream.run(stop))
    with FakeStream(port=unused_tcp_port) as vendor:
        await eventually(lambda: vendor.topics == {"AM.*"})
        stop.set()
        await running
    assert [len(symbols) for symbols in handler.subscriptions] == [MAX_TOPICS + 1]
