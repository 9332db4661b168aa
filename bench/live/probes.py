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
_POLL_S: Final = 0.1
"""A query is a process, which takes its share of the machine that is measured."""
_SEEN_WITHIN_S: Final = 30.0
_TIMEOUT_S: Final = 10.0
_QUERY: Final = """
SELECT timestamp FROM gex_snapshots WHERE ticker = '{ticker}' AND timestamp >= {since_ms}
INTERSECT
SELECT timestamp FROM gex_strikes WHERE ticker = '{ticker}' AND timestamp >= {since_ms}
GROUP BY timestamp HAVING count(*) = {strikes}"""


@dataclass
class Probes:
    """What was measured, in milliseconds since the answer to the post."""

    answered: list[int] = field(default_factory=list)
    """Times of the snapshots that were answered with success."""
    readable_ms: list[float] = field(default_factory=list)
    """To the end of the first query that sees the snapshot with all strikes."""
    streamed_ms: list[float] = field(default_factory=list)
    """To the event; 0 if it came before the answer."""
    queries_ms: list[float] = field(default_factory=list)
    """How long each query took."""
    failures: list[str] = field(default_factory=list)


class Sightings:
    """When each snapshot was seen first, in seconds of ``perf_counter``."""

    def __init__(self) -> None:
        self._seen: Final[dict[int, asyncio.Future[float]]] = {}

    def of(self, time_ms: int) -> asyncio.Future[float]:
        """Return when a snapshot is seen."""
        return self._seen.setdefault(time_ms, asyncio.get_running_loop().create_future())

    def add(self, time_ms: int) -> None:
        """Note that a snapshot is seen now."""
        if not self.of(time_ms).done():
            self.of(time_ms).set_result(time.perf_counter())

    @property
    def oldest_awaited_ms(self) -> int | None:
        """The time of the first snapshot that was not seen yet."""
        return next((time_ms for time_ms, seen in self._seen.items() if not seen.done()), None)


@asynccontextmanager
async def probing(url: str) -> AsyncIterator[Probes]:
    """Post a marked snapshot each second, until the context is left; then wait for those under way."""
    probes, events, rows = Probes(), Sightings(), Sightings()
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        under_way: set[asyncio.Task[None]] = set()
        posting = asyncio.create_task(_post_each_second(client, probes, events, rows, under_way))
        watching = [
            asyncio.create_task(_read(client, events)),
            asyncio.create_task(_poll(client, probes, rows)),
        ]
        try:
            yield probes
        finally:
            await _cancel([posting])
            if under_way:
                await asyncio.wait(under_way)
            await _cancel(watching)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _read(client: httpx.AsyncClient, events: Sightings) -> None:
    """Read the event stream."""
    path, no_limit = f"/gex/stream?ticker={TICKER}", httpx.Timeout(_TIMEOUT_S, read=None)
    while True:
        with suppress(httpx.TransportError, SSEError):
            async with aconnect_sse(client, "GET", path, timeout=no_limit) as source:
                async for event in source.aiter_sse():
                    if event.event == "snapshot":
                        events.add(json.loads(event.data)["timestamp"])
        await asyncio.sleep(_INTERVAL_S)


async def _poll(client: httpx.AsyncClient, probes: Probes, rows: Sightings) -> None:
    """Ask for the rows, one query after the other."""
    while True:
        since_ms, began_s = rows.oldest_awaited_ms, time.perf_counter()
        if since_ms is not None:
            with suppress(httpx.TransportError):
                query = _QUERY.format(ticker=TICKER, since_ms=since_ms, strikes=STRIKES)
                answer = await client.post("/api/v1/sql", json={"query": query})
                probes.queries_ms.append((time.perf_counter() - began_s) * 1000)
                for (time_ms,) in answer.json().get("rows", ()):
                    rows.add(time_ms)
        await asyncio.sleep(max(0.0, _POLL_S - (time.perf_counter() - began_s)))


async def _post_each_second(
    client: httpx.AsyncClient,
    probes: Probes,
    events: Sightings,
    rows: Sightings,
    under_way: set[asyncio.Task[None]],
) -> None:
    while True:
        task = asyncio.create_task(_probe(client, probes, events, rows))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(_INTERVAL_S)


async def _probe(client: httpx.AsyncClient, probes: Probes, events: Sightings, rows: Sightings) -> None:
    time_ms = time.time_ns() // 1_000_000
    event, row = events.of(time_ms), rows.of(time_ms)
    try:
        answer = await client.post("/gex", json=marked_snapshot(TICKER, time_ms))
        answer.raise_for_status()
        answered_s = time.perf_counter()
        probes.answered.append(time_ms)
        async with asyncio.timeout(_SEEN_WITHIN_S):
            probes.readable_ms.append((await row - answered_s) * 1000)
            probes.streamed_ms.append(max(0.0, await event - answered_s) * 1000)
    except (httpx.HTTPError, TimeoutError) as error:
        probes.failures.append(f"{type(error).__name__}: {error}")
        row.cancel()
