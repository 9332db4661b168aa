"""One flood through the whole system, with requests that come in the meantime."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from bench.inputs import Input
from bench.measure.processes import BenchFailed
from bench.sla.answers import QUERY_S, Accepted, Intake
from bench.sla.lake import LakeFindings, read_lake
from bench.sla.workload import SNAPSHOTS, WARM_UP, Requested, large, numbered, urgent_requests
from gexlake.api.jobs import FINISHED, JobView, Priority, Stage
from simulator.process_groups import end
from simulator.stack import Stack

_ROOT: Final = Path(__file__).parents[2]
_BASE_URL: Final = re.compile(r"^GEXLAKE_ALLOWED_SOURCES=(\S+)$", re.MULTILINE)
_NO_LIMIT: Final = "100000000/minute"
_POLL_S: Final = 1.0
_SHORT_POLL_S: Final = 0.2
"""Where the moment counts."""
_STARTS_WITHIN_S: Final = 30.0
_ENDS_WITHIN_S: Final = 3600.0
_SAY_EVERY_S: Final = 30.0
_FEW: Final = 20
"""With so few jobs left there is no flood any more."""
_LARGE_AT: Final = 0.3
"""When the large file is requested, as a share of the minutes."""


@dataclass(frozen=True)
class Plan:
    """What to send through the system.

    Args:
        jobs: of the flood.
        minutes: how long further requests come, if the flood lasts so long.
        large: the large file.
    """

    jobs: int
    minutes: float
    large: Input

    @property
    def urgent(self) -> list[Requested]:
        """The requests during the flood."""
        return urgent_requests(WARM_UP + self.jobs, self.minutes)


@dataclass(frozen=True)
class Flood:
    """What became of a flood.

    Args:
        began: when its first job was requested (UTC).
        accepted: every request but those before it, in the order of the answers.
        jobs: every job, also those before it.
        urgent: how many requests came in the meantime.
        lake: what the lake has of the jobs.
        snapshots: how many it should have.
        seconds_to_post: how long it took to request the flood.
        beside_large: the CRITICAL request that came when the import of the large file had begun.
    """

    began: datetime
    accepted: Sequence[Accepted]
    jobs: Sequence[JobView]
    urgent: int
    lake: LakeFindings
    snapshots: int
    seconds_to_post: float
    beside_large: Accepted


def run(
    folder: Path,
    plan: Plan,
    priority_of: Callable[[Requested], Priority],
    say: Callable[[str], object],
    urgent: int | None = None,
) -> Flood:
    """Send a flood through a new system.

    Args:
        folder: of the system; it is created.
        plan: what to send.
        priority_of: the level that a request is made with.
        say: called with the progress.
        urgent: how many further requests come; by default as many as the flood and the plan leave time for.

    Raises:
        BenchFailed: a request was refused, or the jobs did not end.
        StackError: the system did not start.
    """
    served = folder / "vendor"
    served.mkdir(parents=True)
    (served / large(0).name).hardlink_to(plan.large.path)
    with _vendor(served, folder / "vendor.log") as vendor:
        env = {
            "GEXLAKE_ALLOWED_SOURCES": vendor,
            "GEXLAKE_RATE_LIMIT_HISTORY": _NO_LIMIT,
            "GEXLAKE_SQL_TIMEOUT_S": str(QUERY_S),
        }
        with Stack(folder / "stack", env=env) as stack:
            return asyncio.run(_Run(stack, Intake(stack.url, vendor, priority_of), plan, say).run(urgent))


@contextmanager
def _vendor(folder: Path, log: Path) -> Iterator[str]:
    """Run the vendor as a process and yield its base URL."""
    words = ["-m", "simulator.many_days", "--folder", str(folder), "--snapshots", str(SNAPSHOTS)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not (found := _BASE_URL.search(log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchFailed(f"the vendor did not start: {log.read_text()}")
            time.sleep(_SHORT_POLL_S)
        yield found[1]
    finally:
        end([process], grace_s=5, number=signal.SIGTERM)


class _Run:
    """A flood through one running system."""

    def __init__(self, stack: Stack, intake: Intake, plan: Plan, say: Callable[[str], object]) -> None:
        self._stack = stack
        self._intake = intake
        self._plan = plan
        self._say = say
        self._posted: list[Accepted] = []
        self._began_s = time.monotonic()
        self._unfinished = 0

    async def run(self, urgent: int | None) -> Flood:
        try:
            await self._intake.post_all(numbered(number, Priority.LOW) for number in range(WARM_UP))
            await self._until_finished(WARM_UP)
            self._began_s, began = time.monotonic(), datetime.now(UTC)
            async with asyncio.TaskGroup() as tasks:
                flooding = tasks.create_task(self._post_flood())
                sending = tasks.create_task(self._post_urgent(flooding, urgent))
                beside_large = tasks.create_task(self._post_large())
                tasks.create_task(self._watch(flooding))
            await self._until_finished(WARM_UP + len(self._posted))
            jobs = await self._intake.jobs()
            self._say("comparing the lake with what was requested")
            days = {job.trading_day for job in jobs if job.trading_day}
            lake = await read_lake(self._intake, self._stack.nats_url, days)
            snapshots = (len(jobs) - 1) * SNAPSHOTS + self._plan.large.summary.snapshots
            return Flood(
                began=began,
                accepted=self._posted,
                jobs=jobs,
                urgent=sending.result(),
                lake=lake,
                snapshots=snapshots,
                seconds_to_post=flooding.result(),
                beside_large=beside_large.result(),
            )
        finally:
            await self._intake.close()

    async def _post_flood(self) -> float:
        """Request the flood and return the seconds that it took."""
        flood = [numbered(WARM_UP + number, Priority.LOW) for number in range(self._plan.jobs)]
        self._posted += await self._intake.post_all(flood)
        return self._now_s

    async def _post_urgent(self, flooding: asyncio.Task[float], count: int | None) -> int:
        """Post the requests of the plan and return how many; without a count, while the flood lasts."""
        sent = 0
        for requested in self._plan.urgent[:count]:
            await asyncio.sleep(requested.at_s - self._now_s)
            if count is None and flooding.done() and self._unfinished < _FEW:
                break
            self._posted.append(await self._intake.post(requested))
            sent += 1
        return sent

    async def _post_large(self) -> Accepted:
        """Request the large file, and a small one as soon as its import runs; return the latter."""
        requested = large(60 * self._plan.minutes * _LARGE_AT)
        await asyncio.sleep(requested.at_s - self._now_s)
        accepted = await self._intake.post(requested)
        self._posted.append(accepted)
        await self._until_importing(accepted.job_id)
        number = WARM_UP + self._plan.jobs + len(self._plan.urgent)
        self._say(f"{self._now_s:5.0f} s: the large file is being imported")
        beside = await self._intake.post(numbered(number, Priority.CRITICAL, self._now_s))
        self._posted.append(beside)
        return beside

    async def _until_importing(self, job_id: UUID) -> None:
        while True:
            job = await self._intake.job(job_id)
            if job.is_finished or (job.stage is Stage.IMPORT and job.attempts > 0):
                return
            await asyncio.sleep(_SHORT_POLL_S)

    async def _watch(self, flooding: asyncio.Task[float]) -> None:
        """Report progress until the flood has ended."""
        await flooding
        self._say(f"{self._plan.jobs:,} jobs were requested in {flooding.result():.1f} s")
        await self._until_finished(WARM_UP + self._plan.jobs)

    async def _until_finished(self, count: int) -> None:
        """Wait until so many jobs have ended."""
        deadline, said_s = time.monotonic() + _ENDS_WITHIN_S, self._now_s
        while (finished := await self._count_finished()) < count:
            if time.monotonic() > deadline:
                raise BenchFailed(f"{self._unfinished} jobs did not end\n{self._stack.tails()}")
            for label, process in self._stack.processes.items():
                if process.poll() is not None:
                    raise BenchFailed(f"{label} has ended\n{self._stack.tail(label)}")
            if self._now_s - said_s > _SAY_EVERY_S:
                said_s = self._now_s
                self._say(f"{said_s:5.0f} s: {finished:,} jobs have ended, {self._unfinished:,} have not")
            await asyncio.sleep(_POLL_S)

    async def _count_finished(self) -> int:
        counts = (await self._intake.status()).jobs
        finished = sum(number for status, number in counts.items() if status in FINISHED)
        self._unfinished = sum(counts.values()) - finished
        return finished

    @property
    def _now_s(self) -> float:
        """Seconds since the flood began."""
        return time.monotonic() - self._began_s
