"""What becomes of streamed bars, and which bars are fetched by REST after an interruption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, cast

import pytest

from services.fetcher.errors import SourceBusy
from services.fetcher.massive.decode import BarPage, RejectedBar
from services.fetcher.massive.errors import RateLimited, SymbolUnknown
from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import DayRange, MassiveRest
from services.fetcher.massive.stream.events import Frame, StreamBar
from services.fetcher.massive.stream.lease import LeaseLost
from services.fetcher.massive.stream.storage import LATE_MS, StreamStorage
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.errors import BrokerUnavailable
from shared.massive.bars import MINUTE_MS, Bar
from tests.support.fetcher.bar_bus import BarBus
from tests.support.importer.bars import OPEN_MS, a_bar
from tests.support.poll import eventually
from tests.support.values import NOON

HOST = "https://api.massive.com"
TODAY = DayRange(date(2025, 11, 14), date(2025, 11, 14))


class Rest:
    """Answers requests for bars with the next of ``answers``, a page or an error."""

    def __init__(self, *answers: list[Bar] | Exception) -> None:
        self.asked: list[tuple[str, DayRange]] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self._answers = list(answers)

    async def minute_bars(self, symbol: str, days: DayRange, *, adjusted: bool) -> AsyncIterator[BarPage]:
        assert not adjusted
        self.asked.append((symbol, days))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        await self.goes_on.wait()
        yield BarPage(answer, [], None, is_delayed=False, unknown_fields=frozenset())


def may_publish() -> None:
    """The lease is held."""


def storage(bus: BarBus, rest: Rest, lease: Any = may_publish) -> StreamStorage:
    publisher = BarPublisher(cast(FeedPublisher, bus), lambda: NOON)
    return StreamStorage(publisher, cast(MassiveRest, rest), bus.last, lease, lambda: NOON, retry_s=0)


@asynccontextmanager
async def filling(handler: StreamStorage) -> AsyncIterator[None]:
    task = asyncio.create_task(handler.fill())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def fill(handler: StreamStorage) -> None:
    async with filling(handler):
        await eventually(lambda: not handler.fills.pending)


def streamed(*bars: Bar, symbol: str = "AAPL") -> Frame:
    return Frame(bars=[StreamBar(symbol, bar) for bar in bars])


async def test_a_frame_is_published_and_its_rejects_are_counted() -> None:
    bus = BarBus()
    handler = storage(bus, Rest())
    await handler.frame(Frame([StreamBar("AAPL", a_bar())], rejected=[RejectedBar("{}", "why")]))
    assert bus.bars == [("chronox.stream.AAPL", [a_bar()])]
    assert (handler.bars, handler.rejected, handler.last_bar_at) == (1, 1, NOON)


async def test_nothing_is_published_without_the_lease() -> None:
    def lost() -> None:
        raise LeaseLost

    bus = BarBus()
    with pytest.raises(LeaseLost):
        await storage(bus, Rest(), lost).frame(streamed(a_bar()))
    assert bus.messages == []


async def test_a_fill_begins_before_the_last_message_of_each_symbol() -> None:
    bus = BarBus()
    await storage(bus, Rest()).frame(streamed(a_bar(30)))
    missed = [a_bar(minute) for minute in (0, 14, 15, 31)]
    rest = Rest(missed, missed)
    handler = storage(bus, rest)
    await handler.subscribed(frozenset({"AAPL", "MSFT"}))
    await fill(handler)
    assert LATE_MS == 15 * MINUTE_MS
    assert rest.asked == [("MSFT", TODAY), ("AAPL", TODAY)]
    assert bus.bars[1:] == [("chronox.stream.MSFT", missed), ("chronox.stream.AAPL", missed[2:])]


async def test_streamed_bars_do_not_wait_for_a_fill_and_are_not_overwritten_by_it() -> None:
    bus, rest = BarBus(), Rest([a_bar(0), a_bar(1, volume=5.0), a_bar(2)])
    handler = storage(bus, rest)
    await handler.subscribed(frozenset({"AAPL"}))
    rest.goes_on.clear()
    async with filling(handler):
        await eventually(lambda: rest.asked)
        await handler.frame(streamed(a_bar(1)))
        rest.goes_on.set()
        await eventually(lambda: not handler.fills.pending)
    await handler.frame(streamed(a_bar(3)))
    assert [bars for _, bars in bus.bars] == [[a_bar(1)], [a_bar(0), a_bar(2)], [a_bar(3)]]
    assert [each.missing_since is None for each in bus.payloads] == [False, False, True]
    assert handler.fills.filled == 2


async def test_what_was_not_filled_is_filled_by_the_next_owner() -> None:
    bus = BarBus()
    await storage(bus, Rest()).frame(streamed(a_bar(20)))
    first = storage(bus, Rest())
    await first.subscribed(frozenset({"AAPL"}))
    await first.frame(streamed(a_bar(200)))
    second = storage(bus, Rest([a_bar(5), a_bar(21)]))
    await second.subscribed(frozenset({"AAPL"}))
    assert second.fills.missing_since("AAPL") == OPEN_MS + 5 * MINUTE_MS
    await fill(second)
    assert bus.bars[-1][1] == [a_bar(5), a_bar(21)]


async def test_a_connection_that_is_cut_during_a_fill_has_the_fill_begin_again() -> None:
    bus, rest = BarBus(), Rest([a_bar(0)], [a_bar(0), a_bar(1)])
    handler = storage(bus, rest)
    await handler.subscribed(frozenset({"AAPL"}))
    rest.goes_on.clear()
    async with filling(handler):
        await eventually(lambda: rest.asked)
        await handler.subscribed(frozenset({"AAPL"}))
        rest.goes_on.set()
        await eventually(lambda: not handler.fills.pending)
    assert [bars for _, bars in bus.bars] == [[a_bar(0), a_bar(1)]]


async def test_a_symbol_that_is_dropped_is_filled_no_more() -> None:
    rest = Rest([a_bar()])
    handler = storage(BarBus(), rest)
    await handler.subscribed(frozenset({"AAPL", "GONE"}))
    handler.unsubscribed(frozenset({"GONE"}))
    await fill(handler)
    assert [symbol for symbol, _ in rest.asked] == ["AAPL"]


async def test_a_fill_repeats_what_may_succeed_later_and_leaves_out_what_will_not() -> None:
    bus = BarBus()
    rest = Rest(SourceBusy(HOST, 503), RateLimited(HOST, 0), SymbolUnknown(HOST, "AAPL"), [a_bar()])
    handler = storage(bus, rest)
    await handler.subscribed(frozenset({"AAPL"}))
    await fill(handler)
    assert (len(rest.asked), bus.messages) == (3, [])
    await handler.subscribed(frozenset({"AAPL"}))
    await fill(handler)
    assert len(bus.messages) == 1


async def test_a_fill_that_cannot_be_published_is_given_back_to_the_stream() -> None:
    bus = BarBus()
    bus.error = BrokerUnavailable("publish")
    handler = storage(bus, Rest([a_bar()]))
    await handler.subscribed(frozenset({"AAPL"}))
    with pytest.raises(BrokerUnavailable):
        await handler.fill()
    assert handler.fills.pending == 1
