"""Fill from REST what the stream has missed, a symbol after the other, while it is followed.

A plan may allow few calls a minute, so streamed bars do not wait for fills. A bar that was streamed since
the subscription is newer than that of REST, or is streamed again with late trades: REST's is left out. So a
later bar is never overwritten by an earlier one, whatever the clocks say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.fetcher.massive.errors import RateLimited
from services.fetcher.massive.rest import DayRange, MassiveRest
from services.fetcher.massive.stream.events import StreamBar
from shared.errors import BrokerUnavailable, Deferred, StreamFull, Terminal, Transient
from shared.gexbot.trading_day import NEW_YORK, trading_day_of
from shared.massive.bars import Bar

MAX_AGE: Final = timedelta(days=5)
"""What is missing for longer is left to the daily search for gaps."""
RETRY_S: Final = 5.0
_MAX_RETRY_S: Final = 60.0

Publish = Callable[[str, list[Bar], int], Awaitable[None]]
"""Publishes bars of a symbol, and that it may lack others since a minute."""
log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Fill:
    since_ms: int
    streamed: set[int] = field(default_factory=set)
    """The minutes that were streamed since the subscription."""
    attempts: int = 0


class StreamFills:
    """The symbols that are not filled yet.

    Args:
        rest: fetches bars.
        publish: publishes them.
        publishing: held while bars are published, streamed ones too, so that they are in their order.
        clock: returns the time (UTC).
        retry_s: the first pause after a failed request, unless the error says how long.
    """

    def __init__(
        self,
        rest: MassiveRest,
        publish: Publish,
        publishing: asyncio.Lock,
        clock: Callable[[], datetime],
        retry_s: float = RETRY_S,
    ) -> None:
        self._rest = rest
        self._publish = publish
        self._publishing = publishing
        self._clock = clock
        self._retry_s = retry_s
        self._pending: dict[str, _Fill] = {}
        self._arrived = asyncio.Event()
        self.filled = 0
        """How many bars were published; those that the lake had already change nothing there."""

    @property
    def pending(self) -> int:
        """How many symbols are not filled yet."""
        return len(self._pending)

    def add(self, since: Mapping[str, int]) -> None:
        """Fill symbols again, each from a minute on; one that is not filled yet, from the earlier one."""
        oldest = int((self._clock() - MAX_AGE).timestamp() * 1000)
        for symbol, since_ms in since.items():
            earlier = self._pending.get(symbol)
            from_ms = min(since_ms, earlier.since_ms) if earlier else since_ms
            self._pending[symbol] = _Fill(max(from_ms, oldest))
        if since:
            self._arrived.set()

    def drop(self, symbols: Iterable[str]) -> None:
        """Leave symbols out."""
        for symbol in symbols:
            self._pending.pop(symbol, None)

    def clear(self) -> None:
        """Leave all symbols out."""
        self._pending.clear()

    def missing_since(self, symbol: str) -> int | None:
        """Return from which minute on bars of a symbol may be missing; None if it is filled."""
        fill = self._pending.get(symbol)
        return fill.since_ms if fill else None

    def note(self, bars: Iterable[StreamBar]) -> None:
        """Note streamed bars, before they are published, with ``publishing`` held."""
        if self._pending:
            for found in bars:
                if fill := self._pending.get(found.symbol):
                    fill.streamed.add(found.bar.timestamp)

    async def run(self) -> None:
        """Fill until cancelled.

        Raises:
            BrokerUnavailable: no ack in time.
            StreamFull: CHRONOX is at its byte cap.
        """
        pause_s = self._retry_s
        while True:
            symbol, fill = await self._next()
            try:
                await self._fill(symbol, fill)
            except (BrokerUnavailable, StreamFull):
                raise
            except Terminal as error:
                log.warning("symbol_not_filled", symbol=symbol, error=str(error))
            except Transient as error:
                fill.attempts += 1
                wait_s = pause_s if error.retry_after_s is None else error.retry_after_s
                report = log.debug if isinstance(error, RateLimited) else log.warning
                report("fill_interrupted", symbol=symbol, error=str(error), retry_in_s=wait_s)
                await asyncio.sleep(wait_s)
                max_s = error.max_retry_delay_s if isinstance(error, Deferred) else _MAX_RETRY_S
                pause_s = min(2 * pause_s, max_s)
                continue
            pause_s = self._retry_s
            self._end(symbol, fill)

    async def _next(self) -> tuple[str, _Fill]:
        """Return the symbol that was tried the least, of several the one that misses the most."""
        while not self._pending:
            self._arrived.clear()
            await self._arrived.wait()
        return min(self._pending.items(), key=lambda found: (found[1].attempts, found[1].since_ms))

    async def _fill(self, symbol: str, fill: _Fill) -> None:
        days = DayRange(trading_day_of(fill.since_ms), self._clock().astimezone(NEW_YORK).date())
        async for page in self._rest.minute_bars(symbol, days, adjusted=False):
            async with self._publishing:
                if self._pending.get(symbol) is not fill:  # subscribed again, or not any more
                    return
                missed = [
                    bar
                    for bar in page.bars
                    if bar.timestamp >= fill.since_ms and bar.timestamp not in fill.streamed
                ]
                await self._publish(symbol, missed, fill.since_ms)
                self.filled += len(missed)

    def _end(self, symbol: str, fill: _Fill) -> None:
        if self._pending.get(symbol) is fill:
            del self._pending[symbol]
            if not self._pending:
                log.info("stream_filled", bars=self.filled)
