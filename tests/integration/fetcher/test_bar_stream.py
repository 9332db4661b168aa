"""The vendor's stream on its way to the lake: cut, killed and corrected, it ends as the vendor has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from gexlake.api.rpc import CallFailed
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.storage.bucket import Bucket
from shared.gexbot.trading_day import NEW_YORK
from shared.massive.bars import MINUTE_MS, Bar
from shared.paths import LakePaths
from simulator.massive.market import Market
from simulator.massive.rest import Answer
from simulator.massive.server import FakeMassive
from simulator.massive.stream import FakeStream, minute_event
from simulator.stack import Stack
from tests.support.poll import eventually
from tests.support.system.oracle import query_lake
from tests.support.system.running import assert_nothing_was_refused, connection_to
from tests.support.values import NOON

SEED = 3
CUTS, IMPORTER_KILLS, FETCHER_KILLS = 20, 5, 3
MINUTES_BETWEEN_FAULTS = (2, 6)
SECONDS_A_MINUTE = 0.15
FAULTS = (Answer(503, b""), Answer(429, b"", {"Retry-After": "0"}))
DIRTY_DAYS = "SELECT count(*) FROM bar_days WHERE last_sequence > exported_sequence"
COLUMNS = "symbol, timestamp, open, high, low, close, volume, vwap, trades"


class EveryDay(Market):
    """A market that is open on weekends, too: the fetcher asks for the day that it is."""

    def is_open(self, day: date) -> bool:  # noqa: ARG002 (of the base class)
        return True


class Vendor:
    """REST and the stream of one market, whose time the test sets."""

    def __init__(self, rest: FakeMassive, stream: FakeStream, day: date) -> None:
        self.rest = rest
        self.stream = stream
        self.day = day
        self.minutes = list(rest.rest.market.session(day).minutes)
        self.now_ms = self.minutes[0]
        self._index: dict[tuple[str, int], Bar] = {
            (symbol, bar.timestamp): bar
            for symbol in rest.rest.market.symbols
            for bar in rest.rest.market.bars(symbol, day)
        }

    @property
    def symbols(self) -> list[str]:
        return sorted(self.rest.rest.market.symbols)

    def tell(self, minute: int) -> None:
        """Let a minute end: REST has it, and whoever is connected is sent it."""
        self.now_ms = minute + MINUTE_MS
        self.send(minute)

    def send(self, minute: int) -> None:
        """Stream the bars of a minute as they are now."""
        bars = [(symbol, self._bar(symbol, minute)) for symbol in self.symbols]
        self.stream.send([minute_event(symbol, bar) for symbol, bar in bars if bar])

    def correct(self, symbol: str, minute: int) -> None:
        """Report late trades of a minute."""
        if bar := self._bar(symbol, minute):
            late = msgspec.structs.replace(bar, volume=bar.volume + 100)
            self.rest.rest.changed[symbol, minute] = late

    def _bar(self, symbol: str, minute: int) -> Bar | None:
        return self.rest.rest.changed.get((symbol, minute)) or self._index.get((symbol, minute))

    def rows(self) -> list[tuple[Any, ...]]:
        """Return what the lake should have."""
        return [
            (symbol, bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trades)
            for symbol in self.symbols
            for bar in self.rest.rest.bars(symbol, self.day)
        ]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    market = EveryDay({"AAPL": 1.0, "BRK.B": 0.6, "THIN": 0.05})
    day = datetime.now(UTC).astimezone(NEW_YORK).date()
    with FakeMassive(market, now=lambda: found.now_ms) as rest, FakeStream() as stream:
        found = Vendor(rest, stream, day)
        yield found


@asynccontextmanager
async def running(folder: Path, vendor: Vendor) -> AsyncIterator[tuple[Stack, Bus]]:
    """Run broker, fetcher and importer, with the vendor's symbols registered."""
    env = {
        "GEXLAKE_MASSIVE_API": vendor.rest.base,
        "GEXLAKE_MASSIVE_API_KEY": vendor.rest.key,
        "GEXLAKE_MASSIVE_STREAM": vendor.stream.url,
        "GEXLAKE_MASSIVE_CALLS_PER_MINUTE": "6000",
        "GEXLAKE_LIVE_EXPORT_S": "1",
    }
    stack = Stack(folder, env=env)
    folder.mkdir()
    try:
        for service in ("nats", "importer", "fetcher"):
            stack.start_service(service)
        async with connection_to(stack) as bus:
            await bus.apply_streams()
            bucket = Bucket(bus, subjects.SYMBOLS)
            for symbol in vendor.symbols:
                registered = RegisteredSymbol(
                    symbol=symbol, strategy=Strategy.STREAM, streaming=True, created_at=NOON, updated_at=NOON
                )
                await bucket.write(subjects.symbol_key(symbol), registered.model_dump_json().encode(), 0)
            await eventually(lambda: vendor.stream.topics)
            yield stack, bus
    finally:
        stack.stop()
    assert_nothing_was_refused(stack)


async def strike(stack: Stack, vendor: Vendor, fault: str, source: random.Random) -> None:
    """Let a fault happen; what is killed is started again."""
    if fault == "cut":
        if source.random() < 0.2:
            vendor.rest.answer_next(source.choice(FAULTS))
        await asyncio.to_thread(vendor.stream.disconnect, source.choice((1000, 1008, None)))
        return
    await asyncio.to_thread(stack.kill, fault)
    stack.start_service(fault)


async def stream_the_day(stack: Stack, vendor: Vendor) -> None:
    """Stream minute by minute, with late trades and faults, until all faults have happened."""
    source = random.Random(SEED)
    faults = ["cut"] * CUTS + ["importer"] * IMPORTER_KILLS + ["fetcher"] * FETCHER_KILLS
    source.shuffle(faults)
    next_fault = 5
    for number, minute in enumerate(vendor.minutes):
        await asyncio.to_thread(vendor.tell, minute)
        if number and source.random() < 0.3:
            earlier = vendor.minutes[number - source.randrange(1, min(number, 5) + 1)]
            vendor.correct(source.choice(vendor.symbols), earlier)
            await asyncio.to_thread(vendor.send, earlier)
        if number >= next_fault and vendor.stream.topics:
            if not faults:
                return
            await strike(stack, vendor, faults.pop(), source)
            next_fault = number + source.randint(*MINUTES_BETWEEN_FAULTS)
        await asyncio.sleep(SECONDS_A_MINUTE)
    assert not faults


def _difference(seen: list[list[Any]], expected: list[list[Any]]) -> set[tuple[Any, ...]]:
    return set(map(tuple, seen)) ^ set(map(tuple, expected))


@pytest.mark.slow
async def test_a_stream_that_is_cut_again_and_again_ends_as_the_vendor_has_it(
    vendor: Vendor, tmp_path: Path
) -> None:
    query = f"SELECT {COLUMNS} FROM ohlcv_1m ORDER BY symbol, timestamp"
    async with running(tmp_path / "stack", vendor) as (stack, bus):
        await stream_the_day(stack, vendor)
        expected = [list(row) for row in vendor.rows()]

        seen: list[list[Any]] = []

        async def held() -> bool:
            with suppress(CallFailed):  # the importer starts
                seen[:] = await query_lake(bus, query)
            return seen == expected

        async def is_exported() -> bool:
            return await query_lake(bus, DIRTY_DAYS) == [[0]]

        await eventually(held, within_s=90, what=lambda: str(_difference(seen, expected)))
        await eventually(is_exported, within_s=90)
        assert vendor.stream.accepted > CUTS + FETCHER_KILLS
    paths = LakePaths.under(stack.data_dir)
    with duckdb.connect(str(paths.database), read_only=True) as database:
        table = database.execute(query).fetchall()
        parquet = database.execute(
            f"SELECT {COLUMNS} FROM read_parquet(?) ORDER BY symbol, timestamp",
            [str(paths.bars(vendor.day))],
        ).fetchall()
    assert table == vendor.rows()
    assert parquet == table
