"""Measure how soon a snapshot that was answered is seen: by SQL, and by a reader of the event stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx
from httpx_sse import SSEError, aconnect_sse

from bench.live.payloads import STRIKES, marked_snapshot

TICKER: Final = "PROBE"
_INTERVAL_S: Final = 1.0
_POLL_S: Final = 0.05
_READABLE_WITHIN_S: Final = 30.0
_TIMEOUT_S: Final = 10.0
_QUERY: Final = """
SELECT (SELECT count(*) FROM gex_snapshots WHERE ticker = '{ticker}' AND timestamp = {time_ms}),
    (SELECT count(*) FROM gex_strikes WHERE ticker = '{ticker}' AND timestamp = {time_ms})"""


@dataclass
class Probes:
    """What was measured, in milliseconds since the answer to the post."""

    answered: list[int] = field(default_factory=list)
    """Times of the snapshots that were answered with success."""
    readable_ms: list[float] = field(default_factory=list)
    """To the end of the first query that sees the snapshot with all strikes."""
    streamed_ms: list[float] = field(default_factory=list)
    """To the event; 0 if it came before the answer."""
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def probing(url: str) -> AsyncIterator[Probes]:
    """Post a marked snapshot each second, until the context is left; then wait for those under way."""
    probes = Probes()
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        events = _Events(client)
        reading = asyncio.create_task(events.read())
        posting = asyncio.create_task(_post_each_second(client, probes, events))
        try:
            yield probes
        finally:
            posting.cancel()
            with suppress(asyncio.CancelledError):
                await posting
            if events.under_way:
                await asyncio.wait(events.under_way)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


class _Events:
    """When the event of each snapshot came."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client: Final = client
        self._came: Final[dict[int, asyncio.Future[float]]] = {}
        self.under_way: Final[set[asyncio.Task[None]]] = set()

    def of(self, time_ms: int) -> asyncio.Future[float]:
        """Return when the event of a snapshot comes, in seconds of ``perf_counter``."""
        return self._came.setdefault(time_ms, asyncio.get_running_loop().create_future())

    async def read(self) -> None:
        """Read the stream until cancelled."""
        path, no_limit = f"/gex/stream?ticker={TICKER}", httpx.Timeout(_TIMEOUT_S, read=None)
        while True:
            with suppress(httpx.TransportError, SSEError):
                async with aconnect_sse(self._client, "GET", path, timeout=no_limit) as source:
                    async for event in source.aiter_sse():
                        if event.event != "gap":
                            self.of(json.loads(event.data)["timestamp"]).set_result(time.perf_counter())
            await asyncio.sleep(_INTERVAL_S)


async def _post_each_second(client: httpx.AsyncClient, probes: Probes, events: _Events) -> None:
    while True:
        task = asyncio.create_task(_probe(client, probes, events))
        events.under_way.add(task)
        task.add_done_callback(events.under_way.discard)
        await asyncio.sleep(_INTERVAL_S)


async def _probe(client: httpx.AsyncClient, probes: Probes, events: _Events) -> None:
    time_ms = time.time_ns() // 1_000_000
    event = events.of(time_ms)
    try:
        answer = await client.post("/gex", json=marked_snapshot(TICKER, time_ms))
        answer.raise_for_status()
        answered_s = time.perf_counter()
        probes.answered.append(time_ms)
        async with asyncio.timeout(_READABLE_WITHIN_S):
            probes.readable_ms.append((await _readable_s(client, time_ms) - answered_s) * 1000)
            probes.streamed_ms.append(max(0.0, await event - answered_s) * 1000)
    except (httpx.HTTPError, TimeoutError) as error:
        probes.failures.append(f"{type(error).__name__}: {error}")


async def _readable_s(client: httpx.AsyncClient, time_ms: int) -> float:
    query = _QUERY.format(ticker=TICKER, time_ms=time_ms)
    while True:
        began_s = time.perf_counter()
        answer = await client.post("/api/v1/sql", json={"query": query})
        ended_s = time.perf_counter()
        if answer.is_success and answer.json()["rows"] == [[1, STRIKES]]:
            return ended_s
        await asyncio.sleep(max(0.0, _POLL_S - (ended_s - began_s)))
