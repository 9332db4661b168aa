"""Follow the stream in one of all fetchers, for the symbols whose bars are to be streamed."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from services.fetcher.massive.errors import KEY_SETTING
from services.fetcher.massive.stream.client import BarStream
from services.fetcher.massive.stream.lease import StreamLease
from services.fetcher.massive.stream.storage import StreamStorage
from shared.bus.reports.presence import StreamReport
from shared.errors import BrokerUnavailable, StreamFull, Terminal
from shared.symbol_registry import SymbolRegistry

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pauses:
    """Pauses in seconds.

    Args:
        take_s: between two attempts to take the lease, from and to, so that not all try at once.
        refused_s: after the vendor has refused the key.
    """

    take_s: tuple[float, float] = (1.0, 2.0)
    refused_s: float = 600.0


_PAUSES: Final = Pauses()


@dataclass(frozen=True)
class StreamParts:
    """What follows the stream: its connection, what takes its bars, and the lease."""

    stream: BarStream
    storage: StreamStorage
    lease: StreamLease


class StreamSupervisor:
    """Takes the lease while there are symbols to stream, and follows the stream while it has the lease.

    Args:
        registry: the symbols; it is followed elsewhere.
        parts: what follows the stream; None without a key.
        pauses: between attempts.
    """

    def __init__(self, registry: SymbolRegistry, parts: StreamParts | None, pauses: Pauses = _PAUSES) -> None:
        self._registry = registry
        self._parts = parts
        self._pauses = pauses
        self._changed = asyncio.Event()
        registry.on_change = self._changed.set

    @property
    def report(self) -> StreamReport | None:
        """What the stream does; None if this fetcher does not follow it."""
        if self._parts is None or not self._parts.lease.is_held:
            return None
        stream, storage = self._parts.stream, self._parts.storage
        return StreamReport(
            is_subscribed=stream.is_subscribed,
            symbols=len(self._wanted),
            connections=stream.connections,
            bars=storage.bars,
            rejected=storage.rejected,
            unknown=stream.unknown.total(),
            filled=storage.fills.filled,
            to_fill=storage.fills.pending,
            last_bar_at=storage.last_bar_at,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until ``stop`` is set; bars that have arrived are published first."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if not self._wanted:
                    await self._next_change(stopping)
                elif self._parts is None:
                    log.warning("stream_not_followed", reason=f"{KEY_SETTING} is not set")
                    await stopping
                elif not await _is_taken(self._parts.lease):
                    pause_s = random.uniform(*self._pauses.take_s)  # noqa: S311 (no secret)
                    await asyncio.wait({stopping}, timeout=pause_s)
                elif not await self._follow(self._parts, stopping):
                    await asyncio.wait({stopping}, timeout=self._pauses.refused_s)
        finally:
            stopping.cancel()

    @property
    def _wanted(self) -> frozenset[str]:
        """The symbols to stream; none until all are known."""
        if not self._registry.is_read:
            return frozenset()
        symbols = (found.symbol for found in self._registry.all)
        return frozenset(each.symbol for each in symbols if each.enabled and each.streaming)

    async def _next_change(self, stopping: asyncio.Task[bool]) -> None:
        changing = asyncio.create_task(self._changed.wait())
        await asyncio.wait({changing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        changing.cancel()
        self._changed.clear()

    async def _follow(self, parts: StreamParts, stopping: asyncio.Task[bool]) -> bool:
        """Follow until there is nothing to follow, or no lease; return whether the vendor lets it."""
        log.info("stream_lease_taken", owner=parts.lease.owner, symbols=len(self._wanted))
        ending = asyncio.Event()
        parts.storage.fills.clear()
        parts.stream.follow(self._wanted)
        following = asyncio.create_task(parts.stream.run(ending))
        keeping = asyncio.create_task(parts.lease.keep())
        steering = asyncio.create_task(self._steer(parts.stream, stopping))
        tasks = (following, keeping, steering)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ending.set()
            await following
        except Terminal as error:
            log.warning("stream_refused", error=str(error), retry_in_s=self._pauses.refused_s)
            return False
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            was_lost = not parts.lease.is_held
            await parts.lease.release()
            log.info("stream_lease_ended", owner=parts.lease.owner, was_lost=was_lost)
        return True

    async def _steer(self, stream: BarStream, stopping: asyncio.Task[bool]) -> None:
        """Pass on which symbols are to be followed, until there are none or the service stops."""
        while (wanted := self._wanted) and not stopping.done():
            stream.follow(wanted)
            await self._next_change(stopping)


async def _is_taken(lease: StreamLease) -> bool:
    with suppress(BrokerUnavailable, StreamFull):
        return await lease.take()
    return False
