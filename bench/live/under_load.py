"""The whole system under load: latencies, when payloads are seen, and whether each is stored once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.live.load import Loaded, Running
from bench.live.oracle import Finding, Lake, differences
from bench.live.probes import TICKER, Probes, probing
from bench.live.systems import System
from bench.measure.figures import Target
from bench.measure.spread import Spread
from bench.measure.tables import Table
from simulator.stack import Stack

_READABLE: Final = "from the answer to the row by SQL"
_STREAMED: Final = "from the answer to the event at a reader"


@dataclass(frozen=True)
class Limits:
    """The targets, in milliseconds."""

    p95: float
    p99: float | None
    readable_p95: float
    streamed_p95: float | None


@dataclass(frozen=True)
class UnderLoad:
    """What was measured."""

    loaded: Loaded
    probes: Probes
    findings: Sequence[Finding]
    differences: int
    cpu_shares: Mapping[str, float]
    """Share of one processor that each process used."""


async def measure(
    system: System, stack: Stack, start: Callable[[], Running], during: Callable[[Running], Awaitable[Loaded]]
) -> UnderLoad:
    """Put load on a system, and compare what it holds afterwards with what it answered.

    Args:
        system: the system.
        stack: its processes.
        start: starts the load.
        during: what to do in the meantime; returns when the load has ended.

    Raises:
        BenchFailed: the load did not run.
    """
    lake, before, began_s = Lake(system.url, time.time_ns() // 1_000_000), system.cpu_s(), time.monotonic()
    async with probing(system.url) as probes:
        running = start()
        try:
            loaded = await during(running)
        except BaseException:
            await asyncio.to_thread(running.abandon)
            raise
        after, seconds = system.cpu_s(), time.monotonic() - began_s
    probed = {"snapshots": [f"{TICKER} gex_zero {time_ms}" for time_ms in probes.answered]}
    findings = await asyncio.to_thread(lake.findings, [loaded.answered, probed])
    return UnderLoad(
        loaded,
        probes,
        findings,
        len(await differences(stack.nats_url)),
        {name: (used_s - before.get(name, 0.0)) / seconds for name, used_s in after.items()},
    )


def tables(found: UnderLoad, limits: Limits, title: str) -> list[Table]:
    """Return the tables of the figures."""
    return [_latencies(found, limits, title), _seen(found, limits), _stored(found), _cpu(found)]


def _latencies(found: UnderLoad, limits: Limits, title: str) -> Table:
    loaded, rows = found.loaded, []
    for name, route in loaded.routes.items():
        targets = [f"p95 {Target(limits.p95).judge(route.p95)}"]
        if limits.p99 is not None:
            targets.append(f"p99 {Target(limits.p99).judge(route.p99)}")
        times = [f"{value:.0f}" for value in (route.p50, route.p95, route.p99, route.max)]
        rows.append([name, f"{route.requests:,}", *times, str(route.failures), ", ".join(targets)])
    errors = f" Errors: {'; '.join(loaded.errors[:5])}." if loaded.errors else ""
    return Table(
        title=title,
        note=f"{loaded.rate:.0f} requests a second for {loaded.seconds:.0f} s.{errors}",
        columns=["ms", "number", "p50", "p95", "p99", "max", "errors", "target"],
        rows=rows,
    )


def _seen(found: UnderLoad, limits: Limits) -> Table:
    probes = found.probes
    failures = f" Failed probes: {len(probes.failures)}, {probes.failures[0]}." if probes.failures else ""
    return Table(
        title="When a snapshot is seen, during the load",
        note=f"One marked snapshot a second; SQL is asked for it every 100 ms.{failures}",
        columns=["ms", "number", "p50", "p95", "p99", "max", "target"],
        rows=[
            _seen_row(_READABLE, probes.readable_ms, limits.readable_p95),
            _seen_row(_STREAMED, probes.streamed_ms, limits.streamed_p95),
            _seen_row("one query", probes.queries_ms, None),
        ],
    )


def _seen_row(name: str, durations_ms: Sequence[float], limit: float | None) -> list[str]:
    if not durations_ms:
        return [name, "0", *[""] * 4, "MISSED" if limit else ""]
    spread = Spread.of(durations_ms)
    return [name, *spread.cells(), f"p95 {Target(limit).judge(spread.p95)}" if limit else ""]


def _stored(found: UnderLoad) -> Table:
    return stored_table(found.findings, f"`gex.svc.lake.verify` has {found.differences} differences.")


def stored_table(findings: Sequence[Finding], note: str = "") -> Table:
    """Return the table of what the lake holds of the payloads answered with success."""
    return Table(
        title="Payloads answered with success, in the lake",
        note=note,
        columns=["table", "answered", "lost", "twice", "all there after, s", "target"],
        rows=[[*finding.cells(), "met" if finding.is_exact else "MISSED"] for finding in findings],
    )


def _cpu(found: UnderLoad) -> Table:
    shares = {**found.cpu_shares, "the load itself": found.loaded.cpu_share}
    return Table(
        title="Share of one processor",
        columns=[*shares],
        rows=[[f"{share:.0%}" for share in shares.values()]],
    )
