"""Run nats-server, and restart it when a full disk has left a stream in an error state.

``python -m deploy.supervised_nats STORE COMMAND…`` runs the command, which must become nats-server, and exits
with its status. A stream that met a full disk refuses messages until nats-server is restarted, also when
there is space again; nats-server's ``/healthz`` reports it. ``deploy/nats-health`` does the same
in a container.
"""

from __future__ import annotations

import enum
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

CHECK_INTERVAL_S: Final = 2.0
CHECKS_BEFORE_RESTART: Final = 3
"""How many times in a row an error is reported before the restart."""
ROOM_BYTES: Final = 1024 * 1024
"""What the disk must take before a restart can help."""
_TIMEOUT_S: Final = 2.0
_POLL_S: Final = 0.1


class Health(enum.Enum):
    """What nats-server reports of itself and its streams."""

    GOOD = enum.auto()
    WRITE_ERROR = enum.auto()
    """A stream could not be written; only a restart ends that."""
    BAD = enum.auto()
    """Anything else, such as streams that are still being read after a start."""
    UNKNOWN = enum.auto()
    """It did not respond."""


class RestartRule:
    """Decides when a restart helps: an error that does not pass, and a disk with space.

    Args:
        has_room: whether the disk takes a write.
    """

    def __init__(self, has_room: Callable[[], bool]) -> None:
        self._has_room = has_room
        self._was_healthy = False
        self._errors = 0

    def saw(self, health: Health) -> bool:
        """Take note of a check; return whether to restart now."""
        match health:
            case Health.UNKNOWN:
                return False
            case Health.GOOD:
                self._was_healthy, self._errors = True, 0
                return False
            case Health.BAD if not self._was_healthy:
                return False
        self._errors += 1
        return self._errors >= CHECKS_BEFORE_RESTART and self._has_room()


class Supervisor:
    """Runs one nats-server after the other.

    Args:
        store: the folder of its streams.
        command: starts it; it gets options for its health in addition.
        interval_s: the time between two checks.
    """

    def __init__(self, store: Path, command: Sequence[str], interval_s: float = CHECK_INTERVAL_S) -> None:
        self._store = store
        self._command = command
        self._interval_s = interval_s
        self._server: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def run(self) -> int:
        """Run until nats-server ends by itself or a signal arrives; return its exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory(prefix="gexlake-nats-") as folder:
            while True:
                status = self._run_once(Path(folder))
                if status is not None:
                    return status

    def _run_once(self, folder: Path) -> int | None:
        """Run one server; return its exit status, or None when it is to be started again."""
        options = ["--http_port", "-1", "--ports_file_dir", str(folder)]
        self._server = server = subprocess.Popen([*self._command, *options])
        if self._stopping.is_set():  # the signal came while it started
            server.terminate()
        rule = RestartRule(lambda: has_room(self._store))
        next_check = time.monotonic() + self._interval_s
        while server.poll() is None:
            time.sleep(_POLL_S)
            if self._stopping.is_set() or time.monotonic() < next_check:
                continue
            if rule.saw(health_of(folder / f"nats-server_{server.pid}.ports")):
                _report("nats-server reports an error that lasts, and its disk has space: restart")
                server.terminate()
                server.wait()
                return server.returncode if self._stopping.is_set() else None
            next_check = time.monotonic() + self._interval_s
        return server.returncode

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(number)


def health_of(ports_file: Path) -> Health:
    """Return what the nats-server reports that wrote its addresses into a file."""
    with suppress(OSError, ValueError, KeyError):
        (address,) = json.loads(ports_file.read_bytes())["monitoring"]
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=_TIMEOUT_S):  # noqa: S310 (of nats-server)
                return Health.GOOD
        except urllib.error.HTTPError as error:
            return Health.WRITE_ERROR if b"write error" in error.read() else Health.BAD
    return Health.UNKNOWN


def has_room(store: Path) -> bool:
    """Return whether the disk of a folder takes a write."""
    try:
        with tempfile.TemporaryFile(dir=store, buffering=0) as file:
            return file.write(bytes(ROOM_BYTES)) == ROOM_BYTES
    except OSError:
        return False


def _report(text: str) -> None:
    print(f"gexlake: {text}", file=sys.stderr, flush=True)  # noqa: T201 (for the operator)


def main() -> None:
    """Run the command of the arguments; exit with its status, or 128 and the signal that ended it."""
    store, *command = sys.argv[1:]
    status = Supervisor(Path(store), command).run()
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
