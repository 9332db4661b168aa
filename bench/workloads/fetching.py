"""A fetcher with its broker and the vendor's stand-in, as processes, and fetches by it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

from nats.aio.subscription import Subscription
from pydantic import SecretStr

from bench.measure import process_usage
from bench.measure.figures import Run
from bench.measure.processes import BenchFailed
from gexlake.api.jobs import Priority
from shared.bus import subjects
from shared.bus.connection import connected
from shared.bus.envelope import decode
from shared.bus.messages import FetchFile, FileStaged, Job, JobFailed, job_id_of
from shared.process.settings import Settings
from simulator.process_groups import end
from simulator.stack import NATS, Stack

SLOTS: Final = 4
"""How many files are fetched at once; the fetcher has one more slot, kept for critical work."""
_WITHIN_S: Final = 600.0
_WARM_UP: Final = "warm-up.json"
_SMALL: Final = b"[]"
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fetching:
    """A running vendor and a fetcher."""

    base_url: str
    stack: Stack
    _generations: Iterator[int]

    def fetch(self, names: Sequence[str], sha256: str) -> Run:
        """Request files all at once, and wait until the last one is staged.

        Args:
            names: the vendor's files.
            sha256: the checksum of each of them.

        Raises:
            BenchFailed: a fetch failed, or a staged file has another checksum.
        """
        fetcher = self.stack.processes["fetcher"].pid
        used_before = process_usage.cpu_s(fetcher)
        seconds = asyncio.run(self._stage_all([self._command(name) for name in names], sha256))
        return Run(seconds, process_usage.cpu_s(fetcher) - used_before, process_usage.peak_bytes(fetcher))

    def restart(self) -> None:
        """Restart the fetcher and fetch a small file, so that the peak memory starts from an idle process.

        Raises:
            BenchFailed: the small file was not fetched.
        """
        if "fetcher" in self.stack.processes:
            self.stack.stop_service("fetcher")
        self.stack.start_service("fetcher")
        self.fetch([_WARM_UP], hashlib.sha256(_SMALL).hexdigest())

    def staged(self) -> list[Path]:
        """Return the staged files."""
        return [path for path in (self.stack.data_dir / "source").rglob("*") if path.is_file()]

    def _command(self, name: str) -> FetchFile:
        base_url = f"{self.base_url}{name}"
        job = Job(
            job_id=job_id_of("NQ_NDX", "gex_zero", base_url),
            generation=next(self._generations),
            ticker="NQ_NDX",
            endpoint="gex_zero",
            trading_day=date(2025, 11, 14),
            base_url=base_url,
            priority=Priority.MEDIUM,
            requested_at=datetime.now(UTC),
        )
        return FetchFile(job=job, url=SecretStr(base_url))

    async def _stage_all(self, commands: Sequence[FetchFile], sha256: str) -> float:
        async with connected(Settings(nats_url=self.stack.nats_url), "bench") as bus:
            events = await bus.client.subscribe(subjects.ALL_EVENTS)
            await bus.client.flush()
            began = perf_counter()
            for command in commands:
                await bus.publish_command(command)
            try:
                async with asyncio.timeout(_WITHIN_S):
                    await _all_staged(events, {command.job.job_id for command in commands}, sha256)
            except TimeoutError:
                raise BenchFailed(f"not all staged within {_WITHIN_S:g} s\n{self.stack.tails()}") from None
            return perf_counter() - began


@contextmanager
def fetching(served: Path, folder: Path) -> Iterator[Fetching]:
    """Run a vendor with the files of ``served``, and a fetcher with its broker in ``folder``."""
    (served / _WARM_UP).write_bytes(_SMALL)
    vendor = subprocess.Popen(
        [sys.executable, "-m", "simulator.vendor", "--folder", str(served)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    base_url = _announced(vendor)
    settings = {"GEXLAKE_ALLOWED_SOURCES": base_url, "GEXLAKE_FETCH_SLOTS": str(SLOTS + 1)}
    stack = Stack(folder, env=settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.start_service(NATS)
        yield Fetching(base_url, stack, count(1))
    finally:
        stack.stop()
        with vendor:
            end([vendor], grace_s=5)


def _announced(vendor: subprocess.Popen[bytes]) -> str:
    """Return the base URL that the vendor prints when it is ready."""
    line = vendor.stdout.readline() if vendor.stdout else b""
    if not line:
        raise BenchFailed("the vendor's stand-in did not start")
    return line.decode().split()[-1]


async def _all_staged(events: Subscription, missing: set[UUID], sha256: str) -> None:
    async for message in events.messages:
        match decode(message.subject, message.data).open(message.subject):
            case FileStaged() as event:
                if event.sha256 != sha256:
                    raise BenchFailed(
                        f"{event.job.base_url} was staged with the sha256 {event.sha256}, not {sha256}"
                    )
                missing.discard(event.job.job_id)
                if not missing:
                    return
            case JobFailed() as event:
                raise BenchFailed(f"a fetch failed: {event.error}")
