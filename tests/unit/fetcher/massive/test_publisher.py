"""What is published to CHRONOX."""

from __future__ import annotations

from typing import cast

import pytest

from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.stream.events import StreamBar
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.massive.bars import BarSource
from shared.massive.snapshots import MarketSnapshot
from tests.support.fetcher.bar_bus import BarBus
from tests.support.importer.bars import a_bar
from tests.support.values import NOON


@pytest.fixture
def bus() -> BarBus:
    return BarBus()


def publisher(bus: BarBus) -> BarPublisher:
    return BarPublisher(cast(FeedPublisher, bus), lambda: NOON)


async def test_history_is_a_message_a_trading_day(bus: BarBus) -> None:
    bars = [a_bar(minute) for minute in (0, 1, 1440 * 3, 1440 * 3 + 1)]
    assert await publisher(bus).history("BRK.B", bars, BarSource.REST, adjusted=True) == 2
    assert bus.bars == [
        ("chronox.backfill.BRK-2EB", bars[:2]),
        ("chronox.backfill.BRK-2EB", bars[2:]),
    ]


async def test_of_a_streamed_minute_the_last_bar_is_published(bus: BarBus) -> None:
    late = a_bar(volume=1300.0)
    await publisher(bus).streamed([StreamBar("AAPL", bar) for bar in (a_bar(), a_bar(1), late)])
    assert bus.bars == [("chronox.stream.AAPL", [late]), ("chronox.stream.AAPL", [a_bar(1)])]


async def test_snapshots_are_published(bus: BarBus) -> None:
    await publisher(bus).snapshots([MarketSnapshot("AAPL"), MarketSnapshot("BRK.B")])
    assert [message.subject for message in bus.messages] == [
        "chronox.snapshot.AAPL",
        "chronox.snapshot.BRK-2EB",
    ]
