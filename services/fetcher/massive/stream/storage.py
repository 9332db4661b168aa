"""Streamed bars go to CHRONOX, and what a lost connection has missed is fetched by REST.

A bar that REST has of a day that is not over is provisional, as the stream's are: trades may still be
reported. So it is published with the stream's rank, and the official history of the day replaces both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import DayRange, MassiveRest
from services.fetcher.massive.stream.events import Frame, StreamBar
from shared.errors import BrokerUnavailable, StreamFull, Terminal, Transient
from shared.gexbot.trading_day import NEW_YORK, trading_day_of

LATE_MS: Final = 15 * 60_000
"""How long before the last handled minute a fill begins: its bars may have changed since."""
_RETRY_S: Final = 5.0

log = structlog.get_logger(__name__)


class StreamStorage:
    """Handles what a ``BarStream`` brings.

    Args:
        publisher: publishes to CHRONOX.
        rest: fetches what is missing.
        symbols: those that are followed.
        clock: returns the time (UTC).
        retry_s: the pause before a failed request is sent again, unless the error says when.
    """

    def __init__(
        self,
        publisher: BarPublisher,
        rest: MassiveRest,
        symbols: Sequence[str],
        clock: Callable[[], datetime],
        retry_s: float = _RETRY_S,
    ) -> None:
        self._publisher = publisher
        self._rest = rest
        self._symbols = symbols
        self._clock = clock
        self._retry_s = retry_s
        self.filled = 0
        """How many bars were published by fills; those that the lake had already change nothing there."""
        self.rejected = 0
        """How many bars were not correct."""

    async def subscribed(self, since_ms: int | None) -> None:
        """Publish the bars of all symbols since a minute; without one there is nothing to fill.

        Streamed bars wait until this returns, so that later ones are published later.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: CHRONOX is at its byte cap.
        """
        if since_ms is None:
            return
        for symbol in self._symbols:
            await self._fill(symbol, since_ms - LATE_MS)
        log.info("stream_filled", symbols=len(self._symbols), since_ms=since_ms, bars=self.filled)

    async def frame(self, frame: Frame) -> None:
        """Publish streamed bars.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: CHRONOX is at its byte cap.
        """
        for rejected in frame.rejected:
            log.warning("bar_rejected", reason=rejected.reason)
        self.rejected += len(frame.rejected)
        await self._publisher.streamed(frame.bars)

    async def _fill(self, symbol: str, since_ms: int) -> None:
        """Fill one symbol, for as long as it takes; a symbol that the vendor refuses is left out."""
        days = DayRange(trading_day_of(since_ms), self._clock().astimezone(NEW_YORK).date())
        while True:
            try:
                async for page in self._rest.minute_bars(symbol, days, adjusted=False):
                    missed = [StreamBar(symbol, bar) for bar in page.bars if bar.timestamp >= since_ms]
                    await self._publisher.streamed(missed)
                    self.filled += len(missed)
            except (BrokerUnavailable, StreamFull):
                raise
            except Terminal as error:
                log.warning("symbol_not_filled", symbol=symbol, error=str(error))
            except Transient as error:
                wait_s = self._retry_s if error.retry_after_s is None else error.retry_after_s
                log.warning("fill_interrupted", symbol=symbol, error=str(error), retry_in_s=wait_s)
                await asyncio.sleep(wait_s)
                continue
            return
