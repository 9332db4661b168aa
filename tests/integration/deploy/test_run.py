"""The command of ``make run``: the checks, then all processes of the Procfile under honcho."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from simulator.nats_server import free_port
from simulator.stack import is_setting
from tests.support.poll import eventually
from tests.support.repository import ROOT

COMMAND = [
    sys.executable,
    "-m",
    "deploy.preflight",
    sys.executable,
    "-m",
    "deploy.foreground",
    "start",
    "--env",
    "/dev/null",
]
NAMES = {"nats", "intake", "fetcher", "importer", "janitor"}
_STARTED = re.compile(r"(\w+)\.1 started \(pid=(\d+)\)")


@dataclass
class Terminal:
    """A running system and what it prints."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def pids(self) -> dict[str, int]:
        return {name: int(pid) for name, pid in _STARTED.findall(self.output)}

    async def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(self.output)
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url}/ready")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def press_ctrl_c(self) -> None:
        """Interrupt the processes in the foreground, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> None:
        """End every process that is still running."""
        for pid in (*self.pids.values(), self.process.pid):
            if is_running(pid):
                os.killpg(pid, signal.SIGKILL)
        self.process.wait()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    port = free_port()
    settings = {
        "GEXLAKE_PORT": str(port),
        "GEXLAKE_NATS_PORT": str(free_port()),
        "GEXLAKE_DATA_DIR": str(tmp_path / "data"),
        "PATH": os.defpath,  # no virtual environment is active
    }
    outside = {name: value for name, value in os.environ.items() if not is_setting(name)}
    log = tmp_path / "run.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            COMMAND, cwd=ROOT, env={**outside, **settings}, stdout=out, stderr=out, start_new_session=True
        )
    running = Terminal(process, f"http://127.0.0.1:{port}", log)
    yield running
    running.end()


async def test_all_processes_start_and_ctrl_c_stops_them_without_a_traceback(terminal: Terminal) -> None:
    await eventually(terminal.ready, within_s=60, what=lambda: terminal.output)
    assert set(terminal.pids) == NAMES
    terminal.press_ctrl_c()
    assert terminal.process.wait(timeout=30) == 0
    assert [name for name, pid in terminal.pids.items() if is_running(pid)] == []
    assert "Traceback" not in terminal.output
    assert "SIGKILL" not in terminal.output


@pytest.mark.slow
async def test_one_process_that_dies_stops_all(terminal: Terminal) -> None:
    await eventually(terminal.ready, within_s=60, what=lambda: terminal.output)
    os.kill(terminal.pids["fetcher"], signal.SIGKILL)
    assert terminal.process.wait(timeout=30) != 0
    assert [name for name, pid in terminal.pids.items() if is_running(pid)] == []
