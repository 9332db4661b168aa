"""A long queue at the importer: its pauses between jobs, and the latency of queries during the imports.

``python -m bench.queue`` queues 200 days of five tickers, starts an importer on them and queries the newest
snapshot of one partition every 50 ms. ``--large 8`` imports the 1x day eight times instead.

A pause is the time from the end of one import to the start of the next, from the importer's log
(``partition_imported``: its time, and its seconds in the writer thread). It covers everything between two
imports: events, acknowledgements, pulls, and the ledger's writes in that thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from nats.errors import Error as NatsError

from bench.inputs import Input, generated, inputs_folder, large_day
from bench.measure.figures import Target
from bench.measure.spread import Spread
from bench.measure.tables import Table
from bench.workbench import Workbench
from bench.workloads.queued_days import TICKERS, repeated, small_days
from gexlake.api import services
from gexlake.api.lake import SqlRequest
from gexlake.api.rpc import CallFailed, call
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.bus.messages import FileStaged, ImportFile, Job, JobRequested
from shared.bus.subjects import EventType
from shared.gexbot.trading_day import bounds_ms
from shared.paths import LakePaths
from shared.process.settings import Settings
from simulator.stack import NATS, Stack, StackError

DAYS: Final = 200
TRIAL_DAYS: Final = 4

_MAX_PAUSE_MS: Final = Target(50)
_QUERY_P95_MS: Final = Target(100)
_QUERY_INTERVAL_S: Final = 0.05
_QUERY_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.2
_TIMER_S: Final = 0.005
_PUBLISH_BATCH: Final = 50
_QUERY: Final = """
SELECT timestamp, strike, gamma, oi_gamma FROM gex_strikes WHERE {key} AND timestamp =
    (SELECT max(timestamp) FROM gex_snapshots WHERE {key})"""


@dataclass(frozen=True)
class Queue:
    """The durations of one queue, in milliseconds."""

    seconds: float
    imports: Spread
    pauses: Spread
    answers: Spread
    timer: Spread
    """How late an independent timer fired during the imports: the delay that the machine adds."""


def measured(bench: Workbench) -> list[Table]:
    """Import a queue of small days, then the 1x day repeatedly.

    Raises:
        StackError: the importer ended.
    """
    small = DAYS if bench.is_full_size else TRIAL_DAYS
    with bench.folder() as folder:
        bench.say(f"importing {small} days of {len(TICKERS)} tickers")
        days = measure(folder / "small", small)
        bench.say(f"importing the 1x day {bench.runs + 1} times")
        again = measure(folder / "large", bench.runs + 1, bench.input())
    return [
        table(f"{small * len(TICKERS):,} small days queued at once", days),
        table(f"The 1x day {bench.runs + 1} times in a row", again),
    ]


def table(title: str, queue: Queue) -> Table:
    """Return the table of the figures."""
    longest, p95 = _MAX_PAUSE_MS.judge(queue.pauses.max), _QUERY_P95_MS.judge(queue.answers.p95)
    return Table(
        title=title,
        note=f"{queue.seconds:.1f} s. During the imports, a small query runs every 50 ms.",
        columns=["ms", "number", "p50", "p95", "p99", "max", "target"],
        rows=[
            ["import", *queue.imports.cells(), ""],
            ["pause between two imports", *queue.pauses.cells(), f"max {longest}"],
            ["answer to a small query", *queue.answers.cells(), f"p95 {p95}"],
            ["a timer of 5 ms is late", *queue.timer.cells(), ""],
        ],
    )


def measure(folder: Path, times: int = DAYS, large: Input | None = None) -> Queue:
    """Queue days and measure their imports.

    Args:
        folder: the folder of the stack.
        times: how many days of each ticker, or how often the large one.
        large: a day to import repeatedly instead of the small ones.

    Raises:
        StackError: the importer ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stack = Stack(folder)
    try:
        stack.start_service(NATS)
        return asyncio.run(_measure(stack, times, large))
    finally:
        stack.stop()


async def _measure(stack: Stack, times: int, large: Input | None) -> Queue:
    paths = LakePaths.under(stack.data_dir)
    commands = list(repeated(paths, large, times) if large else small_days(paths, times))
    async with connected(Settings(nats_url=stack.nats_url), "bench") as bus:
        for first in range(0, len(commands), _PUBLISH_BATCH):
            await asyncio.gather(
                *(_queue(bus, command) for command in commands[first : first + _PUBLISH_BATCH])
            )
        began = time.monotonic()
        late_ms: list[float] = []
        timer = asyncio.create_task(_watch_timer(late_ms))
        stack.start_service("importer")
        answers_ms = await _query_until_imported(bus, stack, commands[0].job, len(commands))
        seconds = time.monotonic() - began
        timer.cancel()
    imports = sorted(imports_in(stack.log_of("importer")))
    return Queue(
        seconds=seconds,
        imports=Spread.of([_ms(start, end) for start, end in imports]),
        pauses=Spread.of([_ms(end, start) for (_, end), (start, _) in pairwise(imports)]),
        answers=Spread.of(answers_ms),
        timer=Spread.of(late_ms),
    )


def imports_in(log: Path) -> Iterator[tuple[datetime, datetime]]:
    """Yield the start and the end of each import in an importer's log."""
    for line in log.read_text().splitlines():
        if '"partition_imported"' in line:
            entry = json.loads(line)
            end = datetime.fromisoformat(entry["timestamp"])
            yield end - timedelta(seconds=entry["seconds"]), end


async def _queue(bus: Bus, command: ImportFile) -> None:
    """Publish the events and the command that intake and the fetcher would."""
    job = command.job
    if job.generation == 1:  # a later one would supersede those before it
        await bus.publish_event(JobRequested(job=job, command_seq=1, url_sha256=command.sha256))
    sent = await bus.publish_command(command)
    staged = {"staged_path": command.staged_path, "size_bytes": command.size_bytes, "sha256": command.sha256}
    await bus.publish_event(FileStaged(job=job, command_seq=sent.seq, **staged))


async def _query_until_imported(bus: Bus, stack: Stack, job: Job, jobs: int) -> list[float]:
    """Query one partition's newest snapshot until all jobs are imported; return the latencies in ms."""
    assert job.trading_day is not None  # noqa: S101 (for the type checker: every job here has one)
    start, end = bounds_ms(job.trading_day)
    key = (
        f"ticker = '{job.ticker}' AND endpoint = '{job.endpoint}' AND timestamp BETWEEN {start} AND {end} - 1"
    )
    request = SqlRequest(query=_QUERY.format(key=key))
    waiting = asyncio.create_task(_until_imported(bus, stack, jobs))
    latencies: list[float] = []
    running: set[asyncio.Task[None]] = set()
    while not waiting.done():
        task = asyncio.create_task(_time_query(bus, request, latencies))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.wait({waiting}, timeout=_QUERY_INTERVAL_S)
    await asyncio.gather(waiting, *running)
    return latencies


async def _time_query(bus: Bus, request: SqlRequest, latencies: list[float]) -> None:
    began = time.perf_counter()
    with contextlib.suppress(NatsError, CallFailed):  # before the importer has started
        if (await call(bus.client, services.SQL, request, _QUERY_TIMEOUT_S)).rows:
            latencies.append((time.perf_counter() - began) * 1000)


async def _until_imported(bus: Bus, stack: Stack, jobs: int) -> None:
    imported = subjects.ALL_EVENTS.replace("job.>", f"job.{EventType.IMPORTED}.>")
    while True:
        state = (await bus.js.stream_info(subjects.EVENTS, subjects_filter=imported)).state
        if sum((state.subjects or {}).values()) >= jobs:
            return
        if stack.processes["importer"].poll() is not None:
            raise StackError(f"the importer has ended\n{stack.tail('importer')}")
        await asyncio.sleep(_POLL_S)


async def _watch_timer(late_ms: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(_TIMER_S)
        late_ms.append((time.perf_counter() - began - _TIMER_S) * 1000)


def _ms(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() * 1000


def main() -> None:
    """Measure the queue that the arguments describe and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue", description=measure.__doc__)
    parser.add_argument("--days", type=int, default=DAYS, help="how many days of each ticker")
    parser.add_argument("--large", type=int, metavar="TIMES", help="import the 1x day so often instead")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gexlake-queue-"))
    try:
        if options.large:
            day = generated(large_day(1), inputs_folder(), print)
            queue = measure(folder, options.large, day)
        else:
            queue = measure(folder, options.days)
        print(table("A queue", queue).markdown())
    except StackError as error:
        sys.exit(f"bench: {error}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
