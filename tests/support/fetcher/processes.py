"""Fetchers as processes on one broker and one data folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path


class Fetchers:
    """Fetcher processes with one environment and one log."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = environment
        self._log = log
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, failpoint: str = "") -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.fetcher"],
                env={**self.environment, "GEXLAKE_ACK_WAIT_S": "1", "GEXLAKE_FAILPOINT": failpoint},
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def stop(self) -> list[int]:
        """End those that still run as a supervisor would; return their exit codes."""
        running = [process for process in self._running if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(timeout=20) for process in running]

    def kill(self) -> None:
        """End those that still run at once."""
        for process in self._running:
            process.kill()
            process.wait(timeout=20)

    def output(self) -> str:
        return self._log.read_text()
