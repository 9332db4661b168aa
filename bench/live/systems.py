"""What is measured, as processes: the whole system, and two bare apps to compare it with."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from bench.measure import process_usage
from bench.measure.processes import BenchFailed
from simulator.nats_server import NatsServer, free_port
from simulator.process_groups import end, members
from simulator.stack import NATS, Stack

GEXLAKE: Final = "gexlake"
PUBLISHING: Final = "a bare app that publishes one by one"
ANSWERING: Final = "a bare app that publishes nothing"

_ROOT: Final = Path(__file__).parents[2]
_NO_LIMIT: Final = "100000000/minute"
_ENV: Final = {
    "GEXLAKE_RATE_LIMIT_GEX": _NO_LIMIT,
    "GEXLAKE_RATE_LIMIT_WEBHOOK": _NO_LIMIT,
    "GEXLAKE_RATE_LIMIT_HISTORY": _NO_LIMIT,
}
_STARTS_WITHIN_S: Final = 20.0
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class System:
    """A system that takes payloads: its URL, and its processes by name."""

    url: str
    pids: Callable[[], Mapping[str, int]]

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of each process and its children so far."""
        return {name: sum(map(_cpu_s, members(pid))) for name, pid in self.pids().items()}


@contextmanager
def gexlake(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[tuple[System, Stack]]:
    """Run the whole system, without limits of rates.

    Raises:
        StackError: it did not start.
    """
    with Stack(folder, env={**_ENV, **(env or {})}) as stack:

        def pids() -> dict[str, int]:
            running = {name: process.pid for name, process in stack.processes.items()}
            return running | ({NATS: stack.nats.process.pid} if stack.nats.process else {})

        yield System(stack.url, pids), stack


@contextmanager
def bare(folder: Path, *, publishes: bool) -> Iterator[System]:
    """Run a bare app, with a broker of its own if it publishes.

    Raises:
        BenchFailed: it did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        words, processes = [], {}
        if publishes:
            broker = NatsServer(folder / NATS)
            broker.start()
            closing.callback(broker.stop)
            words = ["--nats", broker.url]
            if broker.process:
                processes[NATS] = broker.process.pid
        port = free_port()
        app = closing.enter_context(_app(port, words, folder / "app.log"))
        processes["app"] = app.pid
        yield System(f"http://127.0.0.1:{port}", lambda: processes)


@contextmanager
def _app(port: int, words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.live.bare_app", "--port", str(port), *words],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_ready(f"http://127.0.0.1:{port}/openapi.json", process, log)
        yield process
    finally:
        end([process], grace_s=5, number=signal.SIGTERM)


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(url, trust_env=False)
            return
        time.sleep(_POLL_S)
    raise BenchFailed(f"the bare app did not start: {log.read_text(errors='replace')[-2000:]}")


def _cpu_s(pid: int) -> float:
    try:
        return process_usage.cpu_s(pid)
    except FileNotFoundError:  # it has ended in the meantime
        return 0.0
