"""The parts of ``make bench-live``: the load alone, during imports of history, and with growing rates."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from nats.errors import Error as NatsError

from bench.inputs import Input, generated, large_day, moved, weekdays_after
from bench.live import systems, under_load
from bench.live.load import Load, Loaded, Running
from bench.live.oracle import Lake
from bench.live.rates import LIMIT_MS, MIN_RATE, Step, best, highest
from bench.live.under_load import Limits
from bench.measure.processes import BenchFailed
from bench.measure.tables import Table
from gexlake.api.jobs import FINISHED
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.process.settings import Settings
from simulator.stack import Stack

SEARCH_CLIENTS: Final = 64
"""With few clients, their number and the latency limit the rate."""
_SEARCH_STEP_S: Final = 8.0
_LOAD: Final = Limits(p95=100, p99=250, readable_p95=1000, streamed_p95=50)
_DURING_HISTORY: Final = Limits(p95=200, p99=None, readable_p95=2000, streamed_p95=None)
_RATIO: Final = 1.3
_DAYS: Final = 2
_LOCUST_STARTS_S: Final = 2.0
_MAX_SECONDS: Final = 300.0
_POLL_S: Final = 0.2
_DRAINED_WITHIN_S: Final = 60.0


@dataclass(frozen=True)
class LiveBench:
    """What to measure, and where.

    Args:
        locust: the program.
        inputs: the folder of generated days.
        scratch: an empty folder on the same filesystem.
        rate: requests a second of all clients together.
        seconds: of the load alone.
        clients: how many.
        say: called with the progress.
    """

    locust: Path
    inputs: Path
    scratch: Path
    rate: float
    seconds: float
    clients: int
    say: Callable[[str], object]

    def folder(self, name: str) -> Path:
        """Return a new folder."""
        folder = self.scratch / name
        folder.mkdir(parents=True)
        return folder


def load(bench: LiveBench) -> list[Table]:
    """Measure the whole system under the load alone."""
    folder = bench.folder("load")
    locust = Load(bench.locust, folder, bench.clients)
    bench.say(f"{bench.rate:.0f} requests/s for {bench.seconds:.0f} s")

    async def until_end(running: Running) -> Loaded:
        return await asyncio.to_thread(running.wait)

    with systems.gexlake(folder / "stack") as (system, stack):
        start = lambda: locust.start(system.url, bench.rate, bench.seconds)  # noqa: E731
        found = asyncio.run(under_load.measure(system, stack, start, until_end))
    return under_load.tables(found, _LOAD, f"{bench.clients} clients")


def history(bench: LiveBench) -> list[Table]:
    """Measure it while days of history are imported, one after the other."""
    folder = bench.folder("history")
    locust = Load(bench.locust, folder, bench.clients)
    days = _days(bench, bench.folder("days"))
    env = {"GEXLAKE_LOCAL_SOURCE_DIRS": str(bench.scratch / "days")}
    seconds: list[float] = []

    with systems.gexlake(folder / "stack", env) as (system, stack):

        async def until_imported(running: Running) -> Loaded:
            await asyncio.sleep(_LOCUST_STARTS_S)
            for day in days:
                bench.say(f"importing {day.path.name}")
                seconds.append(await _import(system.url, day))
            return await asyncio.to_thread(running.stop)

        start = lambda: locust.start(system.url, bench.rate, _MAX_SECONDS)  # noqa: E731
        found = asyncio.run(under_load.measure(system, stack, start, until_imported))
    each = ", ".join(f"{duration:.1f}" for duration in seconds)
    title = f"{bench.clients} clients during {_DAYS} imports of {days[0].summary.strike_rows:,} strike rows"
    return under_load.tables(found, _DURING_HISTORY, f"{title} ({each} s)")


def rates(bench: LiveBench) -> list[Table]:
    """Search the highest rate of the whole system and of two bare apps."""
    found: dict[str, list[Step]] = {}
    folder = bench.folder("rates")
    locust = Load(bench.locust, folder, SEARCH_CLIENTS)

    def search(name: str, url: str, settle: Callable[[], None]) -> None:
        def run(rate: float) -> Loaded:
            loaded = locust.run(url, rate, _SEARCH_STEP_S)
            settle()
            return loaded

        bench.say(f"the highest rate of {name}")
        found[name] = highest(run, bench.say)

    for name, publishes in ((systems.ANSWERING, False), (systems.PUBLISHING, True)):
        with systems.bare(folder / f"bare-{publishes:d}", publishes=publishes) as system:
            search(name, system.url, lambda: None)
    with systems.gexlake(folder / "stack") as (system, stack):
        lake = Lake(system.url, time.time_ns() // 1_000_000)
        search(systems.GEXLAKE, system.url, lambda: asyncio.run(_drained(stack)))
        findings = lake.findings([step.loaded.answered for step in found[systems.GEXLAKE]])
    return [_rates_table(found), under_load.stored_table(findings, "Of all steps of the search.")]


def _rates_table(found: dict[str, list[Step]]) -> Table:
    bests = {name: best(steps) for name, steps in found.items()}
    base = bests[systems.PUBLISHING]
    rows = [[name, *_rate_cells(step, base, name)] for name, step in bests.items()]
    return Table(
        title=f"The highest rate with p95 below {LIMIT_MS:.0f} ms",
        note=f"{SEARCH_CLIENTS} clients, {_SEARCH_STEP_S:.0f} s a rate.",
        columns=["", "requests/s", "p95, ms", "p99, ms", "CPU of the load", "of one by one", "target"],
        rows=rows,
    )


def _rate_cells(step: Step | None, base: Step | None, name: str) -> list[str]:
    if step is None:
        return [f"below {MIN_RATE:.0f}", *[""] * 5]
    loaded = step.loaded
    times = [f"{loaded.total.p95:.0f}", f"{loaded.total.p99:.0f}"]
    ratio = loaded.rate / base.loaded.rate if base else None
    target = f"≥ {_RATIO:g}: {'met' if ratio is not None and ratio >= _RATIO else 'MISSED'}"
    return [
        f"{loaded.rate:.0f}",
        *times,
        f"{loaded.cpu_share:.0%}",
        "" if ratio is None else f"{ratio:.2f}",
        target if name == systems.GEXLAKE else "",
    ]


def _days(bench: LiveBench, folder: Path) -> list[Input]:
    """Return the 1x day and later ones, each under its vendor's name."""
    source = generated(large_day(1), bench.inputs, bench.say)
    first = folder / source.day.file_name
    os.link(source.path, first)
    later = weekdays_after(source.day.day, _DAYS - 1)
    bench.say(f"preparing {_DAYS} days")
    moved_days = [moved(source, day, folder / f"{day}.part") for day in later]
    named = [(day, folder / day.day.file_name) for day in moved_days]
    for day, path in named:
        day.path.rename(path)
    return [
        Input(source.day, source.summary, first),
        *(Input(day.day, day.summary, path) for day, path in named),
    ]


async def _import(url: str, day: Input) -> float:
    """Post a day's file and return the seconds until it is imported.

    Raises:
        BenchFailed: it is not imported.
    """
    began_s = time.monotonic()
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        body = {"url": day.path.as_uri(), "type": day.day.endpoint, "ticker": day.day.ticker}
        answer = await client.post("/gex_history_url", json=body)
        answer.raise_for_status()
        job_id = answer.json()["id"]
        while time.monotonic() - began_s < _MAX_SECONDS:
            with suppress(httpx.TransportError):
                job = (await client.get(f"/jobs/{job_id}")).json()
                if job["state"] in FINISHED:
                    if job["state"] != "completed":
                        raise BenchFailed(f"{day.path.name} is {job['state']}: {job}")
                    return time.monotonic() - began_s
            await asyncio.sleep(_POLL_S)
    raise BenchFailed(f"{day.path.name} is not imported within {_MAX_SECONDS:.0f} s")


async def _drained(stack: Stack) -> None:
    """Wait until the importer has taken all messages of FEED.

    Raises:
        BenchFailed: it has not within a minute.
    """
    bus = await Bus.connect(Settings(nats_url=stack.nats_url), "bench")
    try:
        deadline_s = time.monotonic() + _DRAINED_WITHIN_S
        while time.monotonic() < deadline_s:
            with suppress(NatsError):
                waiting = await bus.js.consumer_info(subjects.FEED, "importer")
                if not waiting.num_pending and not waiting.num_ack_pending:
                    return
            await asyncio.sleep(_POLL_S)
    finally:
        await bus.close()
    raise BenchFailed(f"the importer does not follow FEED\n{stack.tail('importer')}")


PARTS: Final[dict[str, Callable[[LiveBench], Sequence[Table]]]] = {
    "load": load,
    "history": history,
    "rates": rates,
}
