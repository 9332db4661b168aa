"""A real nats-server from its Python wheel, for tests and the demo."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deploy.nats_server_binary import CONFIG, OPEN_CONFIG, START, binary

ANY_PORT: Final = -1
"""The server chooses an ephemeral port: for one that is never started again."""

_START_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.01
_FIRST_PORT: Final = 20_000
_PORTS: Final = 12_000
"""Below 32768, where Linux's ephemeral ports begin."""
_PORTS_BETWEEN_PROCESSES: Final = 4_801

_next_port = itertools.count(os.getpid() * _PORTS_BETWEEN_PROCESSES)


def free_port() -> int:
    """Return a free TCP port of the loopback interface, and reserve it until this process ends.

    On Linux a bound socket reserves it: another call fails to bind the port, and a server that sets
    ``SO_REUSEADDR``, as all of ours do, listens on it. Elsewhere processes begin to count at distant ports.
    None is ephemeral: a client that reconnects to an ephemeral port without a server can connect to itself.
    """
    while True:
        port = _FIRST_PORT + next(_next_port) % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if sys.platform == "linux":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.detach()
            return port


class NatsServer:
    """One server with JetStream in ``folder``; killed and started again, it keeps port and data.

    Args:
        folder: where its streams and its log are; created when missing.
        port: where it listens; by default a free one that a restarted server finds again.
        config: its configuration file; by default everyone may connect.
        secrets: where the passwords of the users of ``deploy/nats.conf`` are, if it has users.
    """

    def __init__(
        self, folder: Path, port: int | None = None, config: Path = OPEN_CONFIG, secrets: Path | None = None
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._config = config if secrets is None else CONFIG
        self._secrets = secrets

    @property
    def url(self) -> str:
        """URL for clients, without a user."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def operator_url(self) -> str:
        """URL for clients that may do everything."""
        if self._secrets is None:
            return self.url
        password = (self._secrets / "operator" / "nats-password").read_text().strip()
        return f"nats://operator:{password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it accepts connections.

        Raises:
            TimeoutError: it did not within 10 s.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        program = [binary()] if self._secrets is None else [str(START), str(self._secrets)]
        command = [*program, "-c", str(self._config), "-a", "127.0.0.1", "-p", str(self.port)]
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-sd", str(self.folder / "jetstream"), "--ports_file_dir", str(self.folder)],
                stdout=log,
                stderr=log,
                env={**os.environ, "NATS_SERVER": binary(), "GEXLAKE_NATS_URL": self.url},
                start_new_session=True,
            )
        self.port = self._wait_ready(self.process)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server with a signal and wait for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=10)
        self.process = None

    def kill(self) -> None:
        """End the server as ``kill -9`` does."""
        self.stop(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the server: it keeps its connections and answers nothing.

        Raises:
            RuntimeError: it does not run.
        """
        if self.process is None:
            raise RuntimeError("this nats-server does not run")
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # the signal takes effect some time after it was sent
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the file with its addresses, which the server writes once it accepts connections.

        Returns:
            Its port.
        """
        ports_file = self.folder / f"nats-server_{process.pid}.ports"
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            with suppress(FileNotFoundError, ValueError):  # missing, or not yet written in full
                (address,) = json.loads(ports_file.read_bytes())["nats"]
                return int(address.rpartition(":")[2])
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"nats-server is not ready: see {self.folder / 'nats.log'}")
            time.sleep(_POLL_S)
