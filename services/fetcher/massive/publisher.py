"""Publish bars and snapshots to CHRONOX."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Final

from services.fetcher.massive.stream.events import StreamBar
from shared.bus.feeds.bar_messages import Bars, ChronoxMessage, bars_message, encoded, snapshot_message
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.gexbot.trading_day import trading_day_of
from shared.massive.bars import Bar, BarSource
from shared.massive.snapshots import MarketSnapshot

MAX_BARS: Final = 1000
"""Bars in a message: a trading day has up to 960."""
AT_ONCE: Final = 1000
"""Messages that are published together; the publisher takes more waiting ones, and not without limit."""


class BarPublisher:
    """Publishes to CHRONOX; a message is on the broker's disk when a method returns.

    Args:
        messages: publishes to CHRONOX.
        clock: returns the time (UTC).
        at_once: how many messages are published together, in no order.
    """

    def __init__(
        self, messages: FeedPublisher, clock: Callable[[], datetime], at_once: int = AT_ONCE
    ) -> None:
        self._messages = messages
        self._clock = clock
        self._at_once = at_once

    async def history(self, symbol: str, bars: Iterable[Bar], source: BarSource, *, adjusted: bool) -> int:
        """Publish bars of a symbol, one message a trading day, and return how many messages.

        Raises:
            BrokerUnavailable: no ack in time; the same bars may be published again.
            StreamFull: CHRONOX is at its byte cap.
        """
        now = self._clock()
        messages = [bars_message(Bars(symbol, source, part, adjusted), now) for part in _parts(bars)]
        await self._publish(messages)
        return len(messages)

    async def complete(self, symbol: str, ranges: Iterable[tuple[date, date]]) -> None:
        """Publish that all bars as traded of ranges of days were published; both ends are included.

        Raises:
            BrokerUnavailable: no ack in time; the same may be published again.
            StreamFull: CHRONOX is at its byte cap.
        """
        now = self._clock()
        answers = (Bars(symbol, BarSource.REST, [], complete_days=(first, last)) for first, last in ranges)
        await self._publish([bars_message(answer, now) for answer in answers])

    async def streamed(
        self, bars: Sequence[StreamBar], missing_since: Callable[[str], int | None] = lambda _: None
    ) -> None:
        """Publish streamed bars, one message each; of one minute only the last, which replaces the others.

        Args:
            bars: in the order of their arrival.
            missing_since: returns from which minute on other bars of a symbol may be missing.

        Raises:
            BrokerUnavailable: no ack in time; the same bars may be published again.
            StreamFull: CHRONOX is at its byte cap.
        """
        now = self._clock()
        newest = {(found.symbol, found.bar.timestamp): found for found in bars}
        await self._publish(
            [
                bars_message(
                    Bars(
                        found.symbol,
                        BarSource.STREAM,
                        [found.bar],
                        missing_since=missing_since(found.symbol),
                    ),
                    now,
                )
                for found in newest.values()
            ]
        )

    async def filled(self, symbol: str, bars: Iterable[Bar], missing_since: int) -> None:
        """Publish bars that the stream has missed, with the stream's rank, one message a trading day.

        Raises:
            BrokerUnavailable: no ack in time; the same bars may be published again.
            StreamFull: CHRONOX is at its byte cap.
        """
        now = self._clock()
        await self._publish(
            [
                bars_message(Bars(symbol, BarSource.STREAM, part, missing_since=missing_since), now)
                for part in _parts(bars)
            ]
        )

    async def snapshots(self, snapshots: Iterable[MarketSnapshot]) -> None:
        """Publish snapshots.

        Raises:
            BrokerUnavailable: no ack in time; the same snapshots may be published again.
            StreamFull: CHRONOX is at its byte cap.
        """
        now = self._clock()
        await self._publish([snapshot_message(snapshot, now) for snapshot in snapshots])

    async def _publish(self, messages: Sequence[ChronoxMessage]) -> None:
        for start in range(0, len(messages), self._at_once):
            part = messages[start : start + self._at_once]
            await asyncio.gather(*(self._messages.publish(encoded(message)) for message in part))


def _parts(bars: Iterable[Bar]) -> Iterator[list[Bar]]:
    for _, group in groupby(bars, lambda bar: trading_day_of(bar.timestamp)):
        of_day = list(group)
        yield from (of_day[start : start + MAX_BARS] for start in range(0, len(of_day), MAX_BARS))
