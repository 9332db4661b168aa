"""What is published to CHRONOX, and what a fill makes of the answers of REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any, cast

import pytest

from services.fetcher.errors import SourceBusy
from services.fetcher.massive.decode import BarPage, RejectedBar
from services.fetcher.massive.errors import RateLimited, SymbolUnknown
from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import DayRange, MassiveRest
from services.fetcher.massive.stream.events import Frame, StreamBar
from services.fetcher.massive.stream.storage import LATE_MS, StreamStorage
from shared.bus.feeds.bar_messages import BarsMessage, decode
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.bus.feeds.live_messages import EncodedMessage
from shared.errors import BrokerUnavailable
from shared.massive.bars import Bar, BarSource
from shared.massive.snapshots import MarketSnapshot
from tests.support.importer.bars import OPEN_MS, a_bar
from tests.support.values import NOON


class Bus:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.messages: list[EncodedMessage] = []
        self.error: Exception | None = None

    async def publish(self, message: EncodedMessage) -> None:
        if self.error:
            raise self.error
        self.messages.append(message)

    @property
    def bars(self) -> list[tuple[str, list[Bar]]]:
        found = [decode(message.subject, message.data) for message in self.messages]
        return [
            (message.subject, each.payload.bars)
            for message, each in zip(self.messages, found, strict=True)
            if isinstance(each, BarsMessage)
        ]


class Rest:
    """Answers requests for bars with the next of ``answers``, a page or an error."""

    def __init__(self, *answers: list[Bar] | Exception) -> None:
        self.asked: list[tuple[str, DayRange]] = []
        self._answers = list(answers)

    async def minute_bars(self, symbol: str, days: DayRange, *, adjusted: bool) -> AsyncIterator[BarPage]:
        assert not adjusted
        self.asked.append((symbol, days))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield BarPage(answer, [], None, is_delayed=False, unknown_fields=frozenset())


@pytest.fixture
def bus() -> Bus:
    return Bus()


def publisher(bus: Bus) -> BarPublisher:
    return BarPublisher(cast(FeedPublisher, bus), lambda: NOON)


def storage(bus: Bus, rest: Rest, *symbols: str) -> StreamStorage:
    return StreamStorage(publisher(bus), cast(MassiveRest, rest), symbols, lambda: NOON, retry_s=0)


async def test_history_is_a_message_a_trading_day(bus: Bus) -> None:
    bars = [a_bar(minute) for minute in (0, 1, 1440 * 3, 1440 * 3 + 1)]
    assert await publisher(bus).history("BRK.B", bars, BarSource.REST, adjusted=True) == 2
    assert bus.bars == [
        ("chronox.backfill.BRK-2EB", bars[:2]),
        ("chronox.backfill.BRK-2EB", bars[2:]),
    ]


async def test_of_a_streamed_minute_the_last_bar_is_published(bus: Bus) -> None:
    late = a_bar(volume=1300.0)
    await publisher(bus).streamed([StreamBar("AAPL", bar) for bar in (a_bar(), a_bar(1), late)])
    assert bus.bars == [("chronox.stream.AAPL", [late]), ("chronox.stream.AAPL", [a_bar(1)])]


async def test_snapshots_are_published(bus: Bus) -> None:
    await publisher(bus).snapshots([MarketSnapshot("AAPL"), MarketSnapshot("BRK.B")])
    assert [message.subject for message in bus.messages] == [
        "chronox.snapshot.AAPL",
        "chronox.snapshot.BRK-2EB",
    ]


async def test_a_frame_is_published_and_its_rejects_are_counted(bus: Bus) -> None:
    handler = storage(bus, Rest(), "AAPL")
    await handler.frame(Frame(bars=[StreamBar("AAPL", a_bar())], rejected=[RejectedBar("{}", "why")]))
    assert bus.bars == [("chronox.stream.AAPL", [a_bar()])]
    assert handler.rejected == 1


async def test_nothing_is_filled_after_the_first_subscription(bus: Bus) -> None:
    rest = Rest()
    await storage(bus, rest, "AAPL").subscribed(None)
    assert (rest.asked, bus.messages) == ([], [])


async def test_a_fill_begins_before_the_last_minute_and_has_the_rank_of_the_stream(bus: Bus) -> None:
    since = OPEN_MS + 30 * 60_000
    bars = [a_bar(minute) for minute in (0, 14, 15, 31)]
    rest = Rest(bars)
    handler = storage(bus, rest, "AAPL")
    await handler.subscribed(since)
    assert LATE_MS == 15 * 60_000
    assert rest.asked == [("AAPL", DayRange(date(2025, 11, 14), date(2025, 11, 14)))]
    assert bus.bars == [("chronox.stream.AAPL", [bar]) for bar in bars[2:]]
    assert handler.filled == 2


async def test_a_fill_after_midnight_asks_for_both_days(bus: Bus) -> None:
    rest = Rest([])
    await storage(bus, rest, "AAPL").subscribed(int((NOON - timedelta(days=1)).timestamp() * 1000))
    assert rest.asked[0][1] == DayRange(date(2025, 11, 13), date(2025, 11, 14))


async def test_a_fill_repeats_what_may_succeed_later_and_leaves_out_what_will_not(bus: Bus) -> None:
    host = "https://api.massive.com"
    errors: list[Any] = [
        SourceBusy(host, 503),
        RateLimited(host, 0),
        [a_bar()],
        SymbolUnknown(host, "GONE"),
        [a_bar(1)],
    ]
    rest = Rest(*errors)
    await storage(bus, rest, "AAPL", "GONE", "MSFT").subscribed(OPEN_MS)
    assert [symbol for symbol, _ in rest.asked] == ["AAPL", "AAPL", "AAPL", "GONE", "MSFT"]
    assert [subject for subject, _ in bus.bars] == ["chronox.stream.AAPL", "chronox.stream.MSFT"]


async def test_a_fill_that_cannot_be_published_is_given_back_to_the_stream(bus: Bus) -> None:
    bus.error = BrokerUnavailable("publish")
    with pytest.raises(BrokerUnavailable):
        await storage(bus, Rest([a_bar()]), "AAPL").subscribed(OPEN_MS)
