"""When bars and snapshots were published last, as CHRONOX has it: noted in the registry, and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from gexlake.api.chronox.runs import StreamsChecked
from gexlake.api.chronox.symbols import Phase, RegisteredSymbol
from services.intake.market_days import early_close, why_closed
from services.intake.state.broker_link import BrokerLink
from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.store import SymbolStore
from shared.bus import subjects
from shared.bus.connection import translate_errors
from shared.bus.last_messages import Stored, last_messages
from shared.gexbot.trading_day import NEW_YORK
from shared.massive.sessions import session_of

FRESH_FOR: Final = timedelta(minutes=5)
"""A stream is not stale for so long after its last bar: not every minute has one."""
_FIELDS: Final = {Phase.SNAPSHOT: "last_snapshot", Phase.STREAM: "last_stream"}
_AT_ONCE: Final = 16
"""How many symbols are written at a time: the broker flushes its disk for each."""


class PublishedTimes:
    """Reads and notes when messages of symbols were published last.

    Args:
        link: the connection.
        known: the registry.
        store: writes the registry.
        clock: the present moment.
    """

    def __init__(
        self, link: BrokerLink, known: KnownSymbols, store: SymbolStore, clock: Callable[[], datetime]
    ) -> None:
        self._link = link
        self._known = known
        self._store = store
        self._clock = clock

    async def last_sequence(self) -> int:
        """Return the position of the last message of CHRONOX.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        with translate_errors(f"read {subjects.CHRONOX}"):
            return int((await self._link.require().js.stream_info(subjects.CHRONOX)).state.last_seq)

    async def read(self, phase: Phase) -> Mapping[str, Stored]:
        """Return the last message of a phase, by subject.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        return await last_messages(self._link.require(), subjects.CHRONOX, subjects.all_chronox(phase))

    async def note(self, phase: Phase) -> Mapping[str, Stored]:
        """Write the times of those symbols whose last message is a later one, and return all, by subject.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        last, slots = await self.read(phase), asyncio.Semaphore(_AT_ONCE)
        later = [
            (found.symbol.symbol, stored.at)
            for found in self._known.all
            if (stored := last.get(subjects.chronox(phase, found.symbol.symbol)))
            and _is_later(found.symbol, phase, stored.at)
        ]

        async def write(symbol: str, at: datetime) -> None:
            async with slots:
                await self._store.update(
                    symbol,
                    lambda found: (
                        found.model_copy(update={_FIELDS[phase]: at}) if _is_later(found, phase, at) else None
                    ),
                )

        await asyncio.gather(*(write(symbol, at) for symbol, at in later))
        return last

    async def check_streams(self) -> StreamsChecked:
        """Note when each symbol was streamed last, and return which are late while the market is open.

        Raises:
            BrokerUnavailable: no answer in time.
            NotReady: the registry is not read yet.
        """
        self._known.require_read()
        last, now = await self.note(Phase.STREAM), self._clock()
        streaming = [
            found.symbol.symbol
            for found in self._known.all
            if found.symbol.enabled and found.symbol.streaming
        ]
        fresh = {
            symbol
            for symbol in streaming
            if (stored := last.get(subjects.chronox(Phase.STREAM, symbol))) and now - stored.at <= FRESH_FOR
        }
        is_open = market_is_open(now)
        has_begun = market_is_open(now - FRESH_FOR)
        stale = tuple(symbol for symbol in streaming if symbol not in fresh) if is_open and has_begun else ()
        return StreamsChecked(streaming=len(streaming), fresh=len(fresh), stale=stale, market_is_open=is_open)


def market_is_open(at: datetime) -> bool:
    """Return whether a moment is in a regular session."""
    day = at.astimezone(NEW_YORK).date()
    if why_closed(day):
        return False
    session = session_of(day, extended=False, closes_early=early_close(day) is not None)
    return session.start_ms <= at.timestamp() * 1000 < session.end_ms


def _is_later(symbol: RegisteredSymbol, phase: Phase, at: datetime) -> bool:
    noted: datetime | None = getattr(symbol, _FIELDS[phase])
    return noted is None or at > noted
