"""Minute bars from the vendor's websocket to the lake: whether all arrive, and when queries see them."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.measure import process_usage
from bench.measure.figures import MIB, Target
from bench.measure.processes import BenchFailed
from bench.measure.tables import Table
from bench.workbench import Workbench
from gexlake.api import services
from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from gexlake.api.lake import SqlRequest
from gexlake.api.rpc import NoService, call
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.storage.bucket import Bucket
from shared.gexbot.trading_day import bounds_ms, trading_day_of
from shared.massive.bars import MINUTE_MS, Bar
from shared.process.settings import Settings
from simulator.massive.market import Market
from simulator.massive.server import FakeMassive
from simulator.massive.stream import FakeStream, minute_event
from simulator.stack import Stack

BARS_A_SECOND: Final = 5000
SECONDS: Final = 60
_FRAMES_A_SECOND: Final = 10
_POLL_S: Final = 0.2
_ARRIVES_WITHIN_S: Final = 60.0
_P95_MS: Final = Target(2000)
_COLUMNS: Final = (
    "bars",
    *("p50 ms", "p95 ms", "target", "p99 ms", "max ms"),
    *("fetcher CPU s", "importer CPU s", "importer peak MiB"),
)
_SERVICES: Final = ("nats", "importer", "fetcher")


class QueryAnswer(NamedTuple):
    """What a query has seen."""

    at_s: float
    """When its answer arrived."""
    bars: int


@dataclass
class Measured:
    """What was sent, and what queries saw of it."""

    sent_s: list[float] = field(default_factory=list)
    """When each frame was sent, on the monotonic clock."""
    answers: list[QueryAnswer] = field(default_factory=list)

    @property
    def bars_a_frame(self) -> int:
        return BARS_A_SECOND // _FRAMES_A_SECOND

    @property
    def sent(self) -> int:
        """How many bars were sent."""
        return len(self.sent_s) * self.bars_a_frame

    def latencies_ms(self) -> list[float]:
        """Return how long each frame took until a query saw as many bars as were sent by then, sorted."""
        seen = [answer.bars for answer in self.answers]
        latencies = []
        for number, sent_s in enumerate(self.sent_s, 1):
            first = bisect_right(seen, number * self.bars_a_frame - 1)
            latencies.append(1000 * (self.answers[first].at_s - sent_s))
        return sorted(latencies)


def measured(bench: Workbench) -> list[Table]:
    """Stream bars through fetcher, CHRONOX and importer, and query them in the meantime.

    Raises:
        BenchFailed: a bar is missing, or stored twice.
        StackError: a service did not start.
    """
    seconds = SECONDS if bench.is_full_size else 2
    with bench.folder() as folder, _running(folder / "stack") as (stack, vendor):
        figures = asyncio.run(_stream(stack, vendor, seconds))
        usage = {name: process_usage.cpu_s(stack.processes[name].pid) for name in _SERVICES[1:]}
        peak = process_usage.peak_bytes(stack.processes["importer"].pid)
    return [_table(figures, seconds, usage, peak)]


def _table(measured: Measured, seconds: int, cpu_s: dict[str, float], peak_bytes: int) -> Table:
    latencies = measured.latencies_ms()
    p95 = _quantile(latencies, 0.95)
    return Table(
        title="Minute bars from the websocket to the lake",
        note=f"{BARS_A_SECOND:,} bars a second of as many symbols for {seconds} s, all in the table once. "
        "Times are from a frame to the answer of a query that has its bars; "
        f"{len(measured.answers)} queries count all bars, each {_POLL_S:g} s after the one before.",
        columns=_COLUMNS,
        rows=[
            [
                f"{measured.sent:,}",
                f"{_quantile(latencies, 0.5):.0f}",
                f"{p95:.0f}",
                _P95_MS.judge(p95),
                f"{_quantile(latencies, 0.99):.0f}",
                f"{latencies[-1]:.0f}",
                f"{cpu_s['fetcher']:.1f}",
                f"{cpu_s['importer']:.1f}",
                f"{peak_bytes / MIB:.0f}",
            ]
        ],
    )


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Stack, FakeStream]]:
    with FakeMassive(Market({})) as rest, FakeStream() as vendor:
        env = {
            "GEXLAKE_MASSIVE_API": rest.base,
            "GEXLAKE_MASSIVE_API_KEY": rest.key,
            "GEXLAKE_MASSIVE_STREAM": vendor.url,
        }
        stack = Stack(folder, env=env)
        folder.mkdir()
        try:
            for name in _SERVICES:
                stack.start_service(name)
            yield stack, vendor
        finally:
            stack.stop()


async def _stream(stack: Stack, vendor: FakeStream, seconds: int) -> Measured:
    bus = await Bus.connect(Settings(nats_url=stack.nats_url), "bench")
    try:
        await bus.apply_streams()
        symbols = [f"S{number}" for number in range(BARS_A_SECOND)]
        await _register(bus, symbols)
        async with asyncio.timeout(_ARRIVES_WITHIN_S):
            await _ready(bus, vendor)
        measured = Measured()
        polling = asyncio.create_task(_poll(bus, measured, seconds * BARS_A_SECOND))
        await asyncio.to_thread(_send, vendor, symbols, seconds, measured)
        async with asyncio.timeout(_ARRIVES_WITHIN_S):
            await polling
        await _check(bus, measured.sent)
    except TimeoutError:
        raise BenchFailed(f"the bars did not arrive\n{stack.tails()}") from None
    else:
        return measured
    finally:
        await bus.close()


async def _ready(bus: Bus, vendor: FakeStream) -> None:
    """Wait until the fetcher has subscribed and the importer answers."""
    while not vendor.topics:  # noqa: ASYNC110 (of a thread)
        await asyncio.sleep(_POLL_S)
    while True:
        with suppress(NoService):
            await _count(bus, "SELECT 1")
            return
        await asyncio.sleep(_POLL_S)


async def _register(bus: Bus, symbols: Sequence[str]) -> None:
    bucket, now, slots = Bucket(bus, subjects.SYMBOLS), datetime.now(UTC), asyncio.Semaphore(64)

    async def write(symbol: str) -> None:
        registered = RegisteredSymbol(
            symbol=symbol, strategy=Strategy.STREAM, streaming=True, created_at=now, updated_at=now
        )
        async with slots:
            await bucket.write(subjects.symbol_key(symbol), registered.model_dump_json().encode(), 0)

    await asyncio.gather(*map(write, symbols))


def _send(vendor: FakeStream, symbols: Sequence[str], seconds: int, measured: Measured) -> None:
    """Send a minute of all symbols each second, in frames at even intervals."""
    first_ms = bounds_ms(trading_day_of(time.time_ns() // 1_000_000))[0] + 4 * 60 * MINUTE_MS
    began_s = time.monotonic()
    for number in range(seconds * _FRAMES_A_SECOND):
        second, part = divmod(number, _FRAMES_A_SECOND)
        text = _frame(symbols[part::_FRAMES_A_SECOND], first_ms + second * MINUTE_MS)
        time.sleep(max(0.0, began_s + number / _FRAMES_A_SECOND - time.monotonic()))
        measured.sent_s.append(time.monotonic())
        vendor.send_text(text)


def _frame(symbols: Sequence[str], minute: int) -> str:
    bar = Bar(minute, 100.0, 101.0, 99.0, 100.5, 1200.0, 100.25, 31)
    return msgspec.json.encode([minute_event(symbol, bar) for symbol in symbols]).decode()


async def _poll(bus: Bus, measured: Measured, until: int) -> None:
    while not measured.answers or measured.answers[-1].bars < until:
        bars = await _count(bus, "SELECT count(*) FROM ohlcv_1m")
        measured.answers.append(QueryAnswer(time.monotonic(), bars))
        await asyncio.sleep(_POLL_S)


async def _check(bus: Bus, sent: int) -> None:
    """Check that each bar is there once.

    Raises:
        BenchFailed: one is missing, or stored twice.
    """
    distinct = await _count(bus, "SELECT count(*) FROM (SELECT DISTINCT symbol, timestamp FROM ohlcv_1m)")
    stored = await _count(bus, "SELECT count(*) FROM ohlcv_1m")
    if not stored == distinct == sent:
        raise BenchFailed(f"{sent} bars were sent, {stored} are stored, of {distinct} symbols and minutes")


async def _count(bus: Bus, query: str) -> int:
    answer: Any = await call(bus.client, services.SQL, SqlRequest(query=query), 30)
    return int(answer.rows[0][0])


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
