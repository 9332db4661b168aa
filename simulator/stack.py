"""The whole system as processes: a real nats-server and the four services on free ports.

    with Stack(folder, env={"GEXLAKE_ALLOWED_SOURCES": vendor.base_url}) as stack:
        httpx.post(f"{stack.url}/gex_history_url", json={...})
        stack.kill("importer")
        stack.start_service("importer")

Every process leads its own session and is ended with its whole group; none outlives ``stop()``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import httpx

from simulator.nats_server import NatsServer, free_port
from simulator.process_groups import end, suspended

SERVICES: Final = ("importer", "fetcher", "janitor", "intake")
"""In the order in which they are started."""
NATS: Final = "nats"

_ROOT: Final = Path(__file__).parent.parent
_POLL_S: Final = 0.05
_LEGACY: Final = ("HOST", "PORT", "DATA_DIR", "LOG_LEVEL", "CORS_ORIGINS", "STAGING_DIR", "PARQUET_DIR")
_STARTS: Final = ("GEXLAKE_", "MAX_IMPORT_", "IMPORT_", "RATE_LIMIT_", "GEXBOT_", "MASSIVE_", "POLYGON_")


def is_setting(name: str) -> bool:
    """Return whether an environment variable is a setting of gexlake, by its own name or a legacy one."""
    return name.upper() in _LEGACY or name.upper().startswith(_STARTS)


class StackError(Exception):
    """The system did not start or ended early; the message ends with the last lines of the logs."""


class Stack:
    """One system in ``folder``: data in ``data/``, one log a process beside it.

    Args:
        folder: where; created when missing.
        env: settings for every service, by their names in the environment. The caller's own settings are
            not passed on.
        python_path: folders that services import modules from before those of the repository.
    """

    def __init__(
        self, folder: Path, env: Mapping[str, str] | None = None, python_path: Sequence[Path] = ()
    ) -> None:
        self.folder = folder
        self.nats = NatsServer(folder / NATS, secrets=self.data_dir / "secrets")
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """The processes that are meant to run, by service; the second fetcher is ``fetcher-2``."""
        self._env = dict(env or {})
        self._python_path = tuple(python_path)
        # Ctrl-C interrupts the main thread only, so a start in this thread always reaches ``processes``.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stack")

    @property
    def url(self) -> str:
        """URL of intake."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def nats_url(self) -> str:
        """URL of the broker for an operator."""
        return self.nats.operator_url

    @property
    def data_dir(self) -> Path:
        """The lake's folder."""
        return self.folder / "data"

    def start(self) -> None:
        """Start the broker and one process of each service; ``wait_ready`` waits until they answer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for name in (NATS, *SERVICES):
                self.start_service(name)
        except BaseException:
            self.stop()
            raise

    def start_service(self, name: str, env: Mapping[str, str] | None = None, instance: int = 1) -> None:
        """Start a service, or the broker (``nats``).

        Args:
            name: which.
            env: settings on top of the stack's own, for this start only.
            instance: which of several processes of the service.

        Raises:
            StackError: it is already running.
        """
        if name == NATS:
            self._starter.submit(self.nats.start).result()
        else:
            self._starter.submit(self._spawn, name, instance, self._environment(env or {})).result()

    def kill(self, name: str, instance: int = 1, *, alone: bool = False) -> None:
        """End a process as ``kill -9`` does, and wait until it is gone.

        Args:
            name: which.
            instance: which of several processes of the service.
            alone: leave its children to themselves; without it, they are killed too, as with a container.
        """
        if name == NATS:
            self.nats.kill()
            return
        if alone:
            process = self.processes.pop(_label(name, instance))
            process.kill()
            process.wait()
            return
        end([self.processes.pop(_label(name, instance))], grace_s=0, number=signal.SIGKILL)

    @contextmanager
    def frozen(self, name: str, instance: int = 1) -> Iterator[None]:
        """Suspend a process with its children: it keeps its connections and answers nothing."""
        if name == NATS:
            with self.nats.frozen():
                yield
            return
        with suspended(self.processes[_label(name, instance)]):
            yield

    def stop_service(self, name: str, instance: int = 1, grace_s: float = 30.0) -> int:
        """End a service with SIGTERM, after ``grace_s`` with SIGKILL, and return its exit status."""
        process = self.processes.pop(_label(name, instance))
        end([process], grace_s)
        return process.wait()

    def wait_exit(self, name: str, instance: int = 1, within_s: float = 30.0) -> int:
        """Wait until a process has ended by itself and return its exit status; minus the signal if killed.

        Raises:
            StackError: it is still running.
        """
        label = _label(name, instance)
        try:
            status = self.processes[label].wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise StackError(
                f"{label} has not ended within {within_s:g} s\n{self.tail(name, instance)}"
            ) from error
        del self.processes[label]
        return status

    def wait_ready(self, within_s: float = 60.0) -> None:
        """Wait until intake reports that the broker and the importer answer.

        Raises:
            StackError: a process ended, or the time is over.
        """
        deadline = time.monotonic() + within_s
        while not self._is_ready():
            ended = [label for label, process in self.processes.items() if process.poll() is not None]
            if ended:
                raise StackError(f"{ended[0]} ended while the stack started\n{self.tail(ended[0])}")
            if time.monotonic() > deadline:
                raise StackError(f"the stack is not ready within {within_s:g} s\n{self.tails()}")
            time.sleep(_POLL_S)

    def stop(self, grace_s: float = 10.0) -> None:
        """End every process: SIGTERM, and SIGKILL for those that are still there after ``grace_s``."""
        self._starter.submit(lambda: None).result()  # wait for a start that is under way
        try:
            end(list(self.processes.values()), grace_s)
        finally:
            self._stop_nats()

    def log_of(self, name: str, instance: int = 1) -> Path:
        """Return the log of a process."""
        return (
            self.nats.folder / "nats.log" if name == NATS else self.folder / f"{_label(name, instance)}.log"
        )

    def tail(self, name: str, instance: int = 1, lines: int = 15) -> str:
        """Return the end of a process's log, under a heading."""
        path = self.log_of(name, instance)
        text = path.read_text(errors="replace") if path.exists() else ""
        last = "\n".join(text.splitlines()[-lines:]) or "(nothing)"
        return f"--- the end of {path.name}\n{last}"

    def tails(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(self.tail(name) for name in (NATS, *self.processes))

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, name: str, instance: int, environment: dict[str, str]) -> None:
        label = _label(name, instance)
        if label in self.processes and self.processes[label].poll() is None:
            raise StackError(f"{label} runs already")
        with self.log_of(name, instance).open("ab") as log:
            self.processes[label] = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not is_setting(name)}
        return {
            **outside,
            "PYTHONPATH": os.pathsep.join(map(str, (*self._python_path, _ROOT))),
            "PYTHONUNBUFFERED": "1",
            "GEXLAKE_HOST": "127.0.0.1",
            "GEXLAKE_PORT": str(self.port),
            "GEXLAKE_NATS_URL": self.nats.url,
            "GEXLAKE_DATA_DIR": str(self.data_dir),
            **self._env,
            **extra,
        }

    def _stop_nats(self) -> None:
        try:
            self.nats.stop()
        except BaseException:
            self.nats.kill()
            raise


def _label(name: str, instance: int) -> str:
    return name if instance == 1 else f"{name}-{instance}"
