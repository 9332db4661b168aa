"""The whole system against the bare import: from a posted URL to its ``imported`` event."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from time import perf_counter
from typing import Final

import httpx
from nats.aio.subscription import Subscription

from bench.inputs import Input, weekdays_after
from bench.measure import process_usage
from bench.measure.figures import Run, Runs, Target, compared
from bench.measure.processes import BenchFailed
from bench.measure.rounds import interleaved
from bench.measure.tables import Table
from bench.workbench import Workbench
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import decode
from shared.bus.messages import JobFailed, JobSkipped, PartitionImported
from shared.process.settings import Settings
from simulator.stack import Stack
from simulator.vendor import Vendor

BARE: Final = "bare import, into an empty lake"
PIPELINE: Final = "POST to imported"

_RATIO: Final = {PIPELINE: Target(1.15)}
_TIMEOUT_S: Final = 600.0


def measured(bench: Workbench) -> list[Table]:
    """Send one day after the other through a running system, alternating with a bare import of it.

    Raises:
        BenchFailed: a job was not imported.
        StackError: the system did not start.
    """
    source = bench.input()
    with bench.folder() as folder:
        served = folder / "vendor"
        served.mkdir()
        with (
            Vendor(served) as vendor,
            Stack(folder / "stack", env={"GEXLAKE_ALLOWED_SOURCES": vendor.base_url}) as stack,
        ):
            days = weekdays_after(source.day.day, bench.runs)
            ways = {
                BARE: partial(_bare, bench, source, iter(days)),
                PIPELINE: partial(_through, stack, vendor, bench, source, iter(days)),
            }
            return [table(interleaved(ways, bench.runs, bench.say))]


def table(runs: Mapping[str, Runs]) -> Table:
    """Return the table of the figures."""
    return Table(
        title="The whole pipeline, on loopback",
        note="Peak memory is the importer's; CPU is that of the broker and all four services.",
        columns=["one day", "s (median)", "s (range)", "of the bare import", "target", "peak MiB", "CPU s"],
        rows=[compared(name, each, runs[BARE], _RATIO.get(name)) for name, each in runs.items()],
    )


def _bare(bench: Workbench, source: Input, days: Iterator[date]) -> Run:
    with bench.folder() as lake, bench.on_day(source, next(days)) as moved:
        return bench.import_into(lake, moved)


def _through(stack: Stack, vendor: Vendor, bench: Workbench, source: Input, days: Iterator[date]) -> Run:
    with bench.on_day(source, next(days)) as moved:
        served = vendor.folder / moved.day.file_name
        os.link(moved.path, served)
        os.sync()
        used_before = _cpu_s(stack)
        seconds = asyncio.run(_post_and_await(stack, vendor.url_of(served.name), moved))
        importer = stack.processes["importer"].pid
        return Run(seconds, _cpu_s(stack) - used_before, process_usage.peak_bytes(importer))


async def _post_and_await(stack: Stack, url: str, source: Input) -> float:
    """Return the seconds from the POST to the ``imported`` event, received when it is published."""
    bus = await Bus.connect(Settings(nats_url=stack.nats_url), "bench")
    try:
        events = await bus.client.subscribe(subjects.ALL_EVENTS)
        await bus.client.flush()
        async with httpx.AsyncClient(base_url=stack.url, timeout=30, trust_env=False) as intake:
            began = perf_counter()
            answer = await intake.post("/gex_history_url", json={"url": url, "endpoint": source.day.endpoint})
            if not answer.is_success:
                raise BenchFailed(f"intake answered {answer.status_code}: {answer.text}")
            async with asyncio.timeout(_TIMEOUT_S):
                await _imported(events, source)
            return perf_counter() - began
    except TimeoutError:
        raise BenchFailed(f"the job did not end within {_TIMEOUT_S:g} s\n{stack.tails()}") from None
    finally:
        await bus.close()


async def _imported(events: Subscription, source: Input) -> None:
    """Return once the partition is imported.

    Raises:
        BenchFailed: an attempt failed, or the counts are not those of the file.
    """
    async for message in events.messages:
        match decode(message.subject, message.data).open(message.subject):
            case PartitionImported(snapshots=snapshots, strike_rows=strike_rows):
                if (snapshots, strike_rows) != (source.summary.snapshots, source.summary.strike_rows):
                    raise BenchFailed(f"{source.day.file_name}: {strike_rows} strike rows were imported")
                return
            case JobSkipped() | JobFailed() as event:
                raise BenchFailed(f"the job was not imported: {event!r}")


def _cpu_s(stack: Stack) -> float:
    running = [*stack.processes.values(), *([stack.nats.process] if stack.nats.process else [])]
    return sum(process_usage.cpu_s(process.pid) for process in running)
