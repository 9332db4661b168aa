"""Which fetcher follows the vendor's stream, and for which symbols, on a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from pydantic import SecretStr

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from services.fetcher.massive.decode import BarPage
from services.fetcher.massive.errors import RateLimited
from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rest import MassiveRest
from services.fetcher.massive.stream.client import BarStream, StreamLimits
from services.fetcher.massive.stream.events import StreamBar
from services.fetcher.massive.stream.last_bars import last_streamed
from services.fetcher.massive.stream.lease import LeaseLost, LeaseTimes, StreamLease
from services.fetcher.massive.stream.storage import StreamStorage
from services.fetcher.massive.stream.supervisor import Pauses, StreamParts, StreamSupervisor
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.bus.storage.bucket import Bucket
from shared.symbol_registry import SymbolRegistry
from simulator.massive.stream import FakeStream
from tests.support.fetcher.bar_bus import BarBus
from tests.support.importer.bars import a_bar
from tests.support.poll import eventually
from tests.support.values import NOON

TIMES = LeaseTimes(held_s=2, renew_s=0.3, margin_s=0.5, retry_s=0.1)
PAUSES = Pauses(take_s=(0.05, 0.1), refused_s=60)


@pytest.fixture
def vendor() -> Iterator[FakeStream]:
    with FakeStream() as running:
        yield running


async def register(bus: Bus, symbol: str, *, streaming: bool) -> None:
    bucket, key = Bucket(bus, subjects.SYMBOLS), subjects.symbol_key(symbol)
    value = RegisteredSymbol(
        symbol=symbol, strategy=Strategy.STREAM, streaming=streaming, created_at=NOON, updated_at=NOON
    )
    assert await bucket.write(key, value.model_dump_json().encode(), (await bucket.read(key)).revision)


class BusyRest:
    """Allows no call."""

    async def minute_bars(self, *_: object, **__: object) -> AsyncIterator[BarPage]:
        raise RateLimited("the plan", 60)
        yield


class Fetcher:
    """The part of a fetcher that follows the stream."""

    def __init__(self, bus: Bus, owner: str, vendor: FakeStream, key: str | None = None) -> None:
        self.lease = StreamLease(bus, owner, TIMES)
        publisher = BarPublisher(cast(FeedPublisher, BarBus()), lambda: NOON)
        storage = StreamStorage(
            publisher,
            cast(MassiveRest, BusyRest()),
            BarBus().last,
            self.lease.require,
            lambda: NOON,
            retry_s=60,
        )
        self.stream = BarStream(
            vendor.url, SecretStr(key or vendor.key), storage, StreamLimits(0.01, 0.05, too_many_retry_s=0.05)
        )
        self.registry = SymbolRegistry()
        parts = StreamParts(self.stream, storage, self.lease)
        self.supervisor = StreamSupervisor(self.registry, parts, PAUSES)
        self.stop = asyncio.Event()
        self.following = asyncio.create_task(self.registry.follow(bus))
        self.running = asyncio.create_task(self.supervisor.run(self.stop))

    async def kill(self) -> None:
        """End as a process that is killed: the lease is not released."""
        self.lease.release = self._keep_lease  # type: ignore[method-assign]
        self.running.cancel()
        self.following.cancel()
        await asyncio.gather(self.running, self.following, return_exceptions=True)

    async def _keep_lease(self) -> None:
        pass


@asynccontextmanager
async def fetcher(bus: Bus, owner: str, vendor: FakeStream, key: str | None = None) -> AsyncIterator[Fetcher]:
    one = Fetcher(bus, owner, vendor, key)
    try:
        yield one
    finally:
        one.stop.set()
        await asyncio.gather(one.running, return_exceptions=True)
        one.following.cancel()
        await asyncio.gather(one.following, return_exceptions=True)


async def test_one_fetcher_follows_the_symbols_that_are_streaming(bus: Bus, vendor: FakeStream) -> None:
    await register(bus, "AAPL", streaming=False)
    async with fetcher(bus, "a", vendor) as one, fetcher(bus, "b", vendor) as other:
        await eventually(lambda: one.registry.is_read and other.registry.is_read)
        assert (vendor.accepted, one.lease.is_held, other.lease.is_held) == (0, False, False)
        await register(bus, "AAPL", streaming=True)
        await eventually(lambda: vendor.topics == {"AM.AAPL"})
        await register(bus, "BRK.B", streaming=True)
        await eventually(lambda: vendor.topics == {"AM.AAPL", "AM.BRK.B"})
        reports = [each.supervisor.report for each in (one, other)]
        assert reports.count(None) == 1
        report = next(filter(None, reports))
        assert (report.is_subscribed, report.symbols, report.connections) == (True, 2, 1)
        await register(bus, "AAPL", streaming=False)
        await register(bus, "BRK.B", streaming=False)
        await eventually(lambda: not vendor.topics)
        await eventually(lambda: not one.lease.is_held and not other.lease.is_held)
    assert vendor.accepted == 1


@pytest.mark.slow
async def test_a_fetcher_that_stops_is_replaced_at_once_and_one_that_dies_after_its_lease(
    bus: Bus, vendor: FakeStream
) -> None:
    await register(bus, "AAPL", streaming=True)
    async with fetcher(bus, "a", vendor) as one:
        await eventually(lambda: one.lease.is_held)
        async with fetcher(bus, "b", vendor) as other, fetcher(bus, "c", vendor) as last:
            one.stop.set()
            await eventually(lambda: other.lease.is_held or last.lease.is_held)
            owner, heir = (other, last) if other.lease.is_held else (last, other)
            await eventually(lambda: vendor.topics)
            await owner.kill()
            await eventually(lambda: heir.lease.is_held and vendor.topics)
            heir.lease.require()


async def test_a_fetcher_whose_key_is_refused_leaves_the_stream_to_others(
    bus: Bus, vendor: FakeStream
) -> None:
    await register(bus, "AAPL", streaming=True)
    async with fetcher(bus, "a", vendor, key="wrong"), fetcher(bus, "b", vendor) as other:
        await eventually(lambda: vendor.topics and other.lease.is_held)


async def test_the_last_streamed_messages_are_found_for_few_symbols_and_for_many(bus: Bus) -> None:
    publisher = BarPublisher(FeedPublisher(lambda: bus, stream=subjects.CHRONOX), lambda: NOON)
    for minute in (0, 1):
        await publisher.streamed([StreamBar(symbol, a_bar(minute)) for symbol in ("AAPL", "BRK.B")])
    many = frozenset(f"S{number}" for number in range(30))
    few = await last_streamed(bus, frozenset({"AAPL", "BRK.B", "NONE"}))
    assert sorted(few) == ["chronox.stream.AAPL", "chronox.stream.BRK-2EB"]
    assert b"%d" % a_bar(1).timestamp in few["chronox.stream.AAPL"]
    assert await last_streamed(bus, many | {"AAPL", "BRK.B"}) == few


async def test_a_lease_that_cannot_be_renewed_is_lost_before_it_ends_on_the_broker(bus: Bus) -> None:
    first, second = (StreamLease(bus, owner, TIMES) for owner in "ab")
    assert await first.take()
    assert not await second.take()
    await Bucket(bus, subjects.SYMBOLS).write(
        subjects.stream_lease_key(),
        b"c",
        (await Bucket(bus, subjects.SYMBOLS).read(subjects.stream_lease_key())).revision,
    )
    await first.keep()
    with pytest.raises(LeaseLost):
        first.require()
