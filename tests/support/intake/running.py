"""A real intake, HTTP server and all: in the test's own event loop, or as a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.intake.http.context import AppContext
from services.intake.server.server_uvicorn import listen
from services.intake.settings import IntakeSettings
from services.intake.wiring import serve_app, wire
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import Envelope, decode
from shared.bus.messages import Payload
from simulator.nats_server import free_port
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.values import URL_KEY

DAY_URL = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json"
SIGNED_URL = f"{DAY_URL}?sig=S3CRET-one&se=2025"


@dataclass
class RunningIntake:
    """An intake that listens, and a client of it."""

    context: AppContext
    http: httpx.AsyncClient

    async def post(self, body: Any, **options: Any) -> httpx.Response:
        """Post a history request."""
        return await self.http.post("/gex_history_url", json=body, **options)

    async def queue(self, **body: Any) -> Any:
        """Post a history request that is taken, and return the answer."""
        answer = await self.post(body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str, status: int = 200) -> Any:
        """Get a route and return its JSON."""
        answer = await self.http.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()


@asynccontextmanager
async def running_intake(settings: IntakeSettings, *, rebuilt: bool = True) -> AsyncIterator[RunningIntake]:
    """Run an intake on a free port; by default, wait until it knows its jobs."""
    context = wire(settings)
    listener = listen("127.0.0.1", 0)
    stop = asyncio.Event()
    task = asyncio.create_task(serve_app(context, listener, stop))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            if rebuilt:
                await eventually(
                    lambda: task.done() or (context.projection.is_rebuilt and context.rules.is_read)
                )
            yield RunningIntake(context, http)
    finally:
        stop.set()
        await task


@dataclass
class IntakeProcess:
    """``python -m services.intake`` on a free port."""

    process: subprocess.Popen[str]
    url: str

    def end(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, wait, and return what the process wrote to standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.communicate(timeout=30)[1]


@contextmanager
def intake_process(folder: Path, *flags: str, **environment: str) -> Iterator[IntakeProcess]:
    """Start intake as a process in ``folder``; killed in the end if it still runs."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.intake", "--port", str(port), *flags],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GEXLAKE_URL_KEYS": URL_KEY, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    running = IntakeProcess(process, f"http://127.0.0.1:{port}")
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


async def messages_in(bus: Bus, stream: str) -> int:
    """Count the messages of a stream, without probes."""
    state = (await bus.js.stream_info(stream, subjects_filter=">")).state
    counts = state.subjects or {}
    return sum(count for subject, count in counts.items() if subject != subjects.probe(stream))


async def recreate_stream(bus: Bus, stream: str) -> None:
    """Delete a stream and create it again, as after the loss of its files."""
    await bus.js.delete_stream(stream)
    await bus.apply_streams()


async def envelope_at(bus: Bus, stream: str, sequence: int) -> Envelope:
    """Return the message that stands at a place of a stream."""
    message = await bus.js.get_msg(stream, seq=sequence)
    return decode(stream, message.data or b"")


async def payload_at(bus: Bus, stream: str, sequence: int) -> Payload:
    """Return what the message at a place of a stream says."""
    return (await envelope_at(bus, stream, sequence)).open(stream)


async def all_events(bus: Bus) -> list[Payload]:
    """Return every fact in EVENTS, the oldest first."""
    count = await messages_in(bus, subjects.EVENTS)
    return [await payload_at(bus, subjects.EVENTS, number) for number in range(1, count + 1)]
