"""A month of minute bars through CHRONOX into a lake.

``python -m bench.workloads.month_of_bars --symbols 50`` publishes them as the fetcher publishes those of
REST, a message for each symbol and trading day, to a broker and an importer of its own in the working
directory. Prints how many bars the table has at the end, the seconds from the first message to the
acknowledgement of the last one, and the importer's CPU seconds and peak memory, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Final

from bench.measure import process_usage
from bench.measure.processes import BenchFailed
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.bus.feeds.bar_messages import Bars, bars_message, encoded
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.bus.feeds.live_messages import EncodedMessage
from shared.massive.bars import BarSource
from shared.process.settings import Settings
from simulator.massive.market import Market
from simulator.stack import NATS, Stack

_FIRST: Final = date(2025, 11, 3)
_WEEKDAYS: Final = 20
_AT_ONCE: Final = 200
_WITHIN_S: Final = 600.0
_POLL_S: Final = 0.05
_COUNT: Final = b'{"query": "SELECT count(*) FROM ohlcv_1m"}'


def messages_of_month(symbols: int) -> tuple[list[EncodedMessage], int]:
    """Return the messages of a month of so many symbols, and how many bars they have."""
    market = Market({f"S{number:03}": 1.0 for number in range(symbols)})
    messages: list[EncodedMessage] = []
    bars = 0
    for symbol in market.symbols:
        for ahead in range(_WEEKDAYS // 5 * 7):
            found = list(market.bars(symbol, _FIRST + timedelta(days=ahead)))
            if found:
                bars += len(found)
                content = Bars(symbol, BarSource.REST, found)
                messages.append(encoded(bars_message(content, datetime.now(UTC))))
    return messages, bars


async def stored(stack: Stack, messages: list[EncodedMessage], bars: int) -> float:
    """Publish messages, and return after how many seconds the table has them.

    Raises:
        BenchFailed: it does not have them all in time, or has others.
    """
    async with connected(Settings(nats_url=stack.nats_url), "bench") as bus:
        await _wait_for_importer(bus)
        publisher = FeedPublisher(lambda: bus, stream=subjects.CHRONOX)
        began = perf_counter()
        try:
            async with asyncio.timeout(_WITHIN_S):
                for start in range(0, len(messages), _AT_ONCE):
                    part = messages[start : start + _AT_ONCE]
                    await asyncio.gather(*map(publisher.publish, part))
                while (await _acknowledged(bus)) < len(messages):  # noqa: ASYNC110 (of the broker)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise BenchFailed(f"not stored within {_WITHIN_S:g} s\n{stack.tails()}") from None
        seconds = perf_counter() - began
        reply = await bus.client.request("gex.svc.lake.sql", _COUNT, timeout=60)
    found = json.loads(reply.data)["rows"][0][0]
    if found != bars:
        raise BenchFailed(f"{bars} bars were published, the table has {found}")
    return seconds


async def _wait_for_importer(bus: Bus) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            try:
                await bus.client.request("gex.svc.lake.sql", b'{"query": "SELECT 1"}', timeout=5)
            except Exception:  # noqa: BLE001 (it is starting)
                await asyncio.sleep(_POLL_S)
            else:
                return


async def _acknowledged(bus: Bus) -> int:
    found = await bus.js.consumer_info(subjects.CHRONOX, subjects.FEED_CONSUMER)
    return found.ack_floor.stream_seq if found.ack_floor else 0


def main() -> None:
    """Store the bars of a month."""
    parser = argparse.ArgumentParser(prog="python -m bench.workloads.month_of_bars")
    parser.add_argument("--symbols", type=int, default=50)
    options = parser.parse_args()
    messages, bars = messages_of_month(options.symbols)
    folder = Path.cwd() / "stack"
    stack = Stack(folder)
    folder.mkdir()
    try:
        stack.start_service(NATS)
        stack.start_service("importer")
        seconds = asyncio.run(stored(stack, messages, bars))
        importer = stack.processes["importer"].pid
        usage = {"cpu_s": process_usage.cpu_s(importer), "peak_bytes": process_usage.peak_bytes(importer)}
    finally:
        stack.stop()
    print(json.dumps({"bars": bars, "messages": len(messages), "seconds": seconds, **usage}))


if __name__ == "__main__":
    main()
