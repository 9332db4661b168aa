"""Streamed bars go to CHRONOX at once, and what was missed before is filled from REST.

Since when bars of a symbol are missing, its last message in CHRONOX says, to whichever fetcher follows the
stream next. A bar that REST has of a day that is not over is provisional, as the stream's are: trades may
still be reported. So it is published with the stream's rank, and the official history of the day replaces
both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from gexlake.api.chronox.symbols import Phase
from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import MassiveRest
from services.fetcher.massive.stream.events import Frame
from services.fetcher.massive.stream.fills import RETRY_S, StreamFills
from shared.bus import subjects
from shared.bus.feeds import bar_messages
from shared.bus.feeds.bar_messages import BarsMessage
from shared.errors import MalformedMessage
from shared.gexbot.trading_day import bounds_ms, trading_day_of
from shared.massive.bars import Bar

LATE_MS: Final = 15 * 60_000
"""How long before the last published minute a fill begins: its bars may have changed since."""

log = structlog.get_logger(__name__)


class StreamStorage:
    """Handles what a ``BarStream`` brings.

    Args:
        publisher: publishes to CHRONOX.
        rest: fetches what is missing.
        read_last: returns the last streamed messages of symbols in CHRONOX, by subject.
        may_publish: raises an error that is ``Transient`` once another fetcher may follow the stream.
        clock: returns the time (UTC).
        retry_s: the first pause after a failed request, unless the error says how long.
    """

    def __init__(
        self,
        publisher: BarPublisher,
        rest: MassiveRest,
        read_last: Callable[[frozenset[str]], Awaitable[Mapping[str, bytes]]],
        may_publish: Callable[[], None],
        clock: Callable[[], datetime],
        retry_s: float = RETRY_S,
    ) -> None:
        self._publisher = publisher
        self._read_last = read_last
        self._may_publish = may_publish
        self._clock = clock
        self._publishing = asyncio.Lock()
        self.fills = StreamFills(rest, self._publish_missed, self._publishing, clock, retry_s)
        self.bars = 0
        """How many bars have arrived."""
        self.rejected = 0
        """How many bars were not correct."""
        self.last_bar_at: datetime | None = None
        """When a bar arrived last (UTC)."""

    async def subscribed(self, symbols: frozenset[str]) -> None:
        """Fill symbols from their last bars on, of the running day if they have none.

        Raises:
            BrokerUnavailable: no reply in time.
        """
        last = await self._read_last(symbols)
        today_ms = bounds_ms(trading_day_of(int(self._clock().timestamp() * 1000)))[0]
        since = {symbol: _since(last.get(subjects.chronox(Phase.STREAM, symbol))) for symbol in symbols}
        self.fills.add(
            {symbol: today_ms if since_ms is None else since_ms for symbol, since_ms in since.items()}
        )

    def unsubscribed(self, symbols: frozenset[str]) -> None:
        """Fill symbols no more."""
        self.fills.drop(symbols)

    async def frame(self, frame: Frame) -> None:
        """Publish streamed bars.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: CHRONOX is at its byte cap.
            Transient: another fetcher may follow the stream.
        """
        for rejected in frame.rejected:
            log.warning("bar_rejected", reason=rejected.reason)
        self.rejected += len(frame.rejected)
        if not frame.bars:
            return
        self.bars += len(frame.bars)
        self.last_bar_at = self._clock()
        async with self._publishing:
            self._may_publish()
            self.fills.note(frame.bars)
            await self._publisher.streamed(frame.bars, self.fills.missing_since)

    async def fill(self) -> None:
        """Fill until cancelled.

        Raises:
            GexlakeError: as ``frame``.
        """
        await self.fills.run()

    async def _publish_missed(self, symbol: str, bars: list[Bar], since_ms: int) -> None:
        self._may_publish()
        await self._publisher.filled(symbol, bars, since_ms)


def _since(last: bytes | None) -> int | None:
    """Return from which minute on bars may be missing, by the last message of a symbol."""
    if last is None:
        return None
    try:
        message = bar_messages.decode("", last)
    except MalformedMessage:  # published by a later version
        return None
    if not isinstance(message, BarsMessage) or not message.payload.bars:
        return None
    after_ms = message.payload.bars[-1].timestamp - LATE_MS
    missing_since = message.payload.missing_since
    return after_ms if missing_since is None else min(after_ms, missing_since)
