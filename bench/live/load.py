"""Run Locust as a process and read what it measured."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.live.payloads import templates
from bench.measure.processes import BenchFailed
from simulator.process_groups import end
from simulator.stack import is_setting

ALL_ROUTES: Final = "Aggregated"
_LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
_ENDS_WITHIN_S: Final = 30.0


@dataclass(frozen=True)
class Route:
    """What Locust's statistics say of a route: times in milliseconds."""

    requests: int
    failures: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def parse(cls, figures: Mapping[str, Any]) -> Self:
        """Read it from the results."""
        p50, p95, p99 = figures["percentiles_ms"]
        return cls(figures["requests"], figures["failures"], p50, p95, p99, figures["max_ms"])


@dataclass(frozen=True)
class Loaded:
    """A run of the load."""

    seconds: float
    cpu_s: float
    """CPU seconds of the load itself."""
    routes: Mapping[str, Route]
    errors: Sequence[str]
    answered: Mapping[str, Sequence[str]]
    """Keys of the payloads answered with success, by kind: snapshots, trades, aggregates."""

    @property
    def total(self) -> Route:
        """Of all routes together."""
        return self.routes[ALL_ROUTES]

    @property
    def rate(self) -> float:
        """Requests answered with success, a second."""
        return (self.total.requests - self.total.failures) / self.seconds

    @property
    def cpu_share(self) -> float:
        """Share of one processor that the load used."""
        return self.cpu_s / self.seconds


class Load:
    """Locust, on one URL.

    Args:
        locust: its program.
        folder: for its templates and results.
        clients: how many, each with one request at a time.
    """

    def __init__(self, locust: Path, folder: Path, clients: int) -> None:
        self._locust: Final = locust
        self._folder: Final = folder
        self._clients: Final = clients
        self._runs = 0
        self._templates: Final = folder / "templates.json"
        self._templates.write_text(json.dumps(templates()))

    def start(self, url: str, rate: float, seconds: float) -> Running:
        """Start a run of ``seconds`` with ``rate`` requests a second of all clients together."""
        self._runs += 1
        results, log = (self._folder / f"load-{self._runs}.{suffix}" for suffix in ("json", "log"))
        command = [
            *(str(self._locust), "-f", str(_LOCUSTFILE), "--headless", "--only-summary"),
            *("--host", url, "--users", str(self._clients), "--spawn-rate", str(self._clients)),
            *("--run-time", f"{seconds:.0f}s", "--stop-timeout", "15", "--exit-code-on-error", "0"),
            *("--total-rate", str(rate), "--templates", str(self._templates), "--results", str(results)),
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env={name: value for name, value in os.environ.items() if not is_setting(name)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, results, log, seconds)

    def run(self, url: str, rate: float, seconds: float) -> Loaded:
        """Run it to its end.

        Raises:
            BenchFailed: Locust did not run.
        """
        return self.start(url, rate, seconds).wait()


@dataclass
class Running:
    """A run that has been started."""

    process: subprocess.Popen[bytes]
    results: Path
    log: Path
    seconds: float

    def stop(self) -> Loaded:
        """End the run early and return what it measured.

        Raises:
            BenchFailed: Locust did not run.
        """
        self.process.terminate()
        return self.wait()

    def abandon(self) -> None:
        """End the run without a result."""
        end([self.process], grace_s=1)

    def wait(self) -> Loaded:
        """Wait for the end and return what it measured.

        Raises:
            BenchFailed: Locust did not run, or does not end.
        """
        try:
            self.process.wait(self.seconds + _ENDS_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise BenchFailed(f"locust does not end: {self._tail()}") from error
        finally:
            end([self.process], grace_s=0)
        if not self.results.is_file():
            raise BenchFailed(f"locust has no results: {self._tail()}")
        found = json.loads(self.results.read_text())
        return Loaded(
            found["seconds"],
            found["cpu_s"],
            {name: Route.parse(figures) for name, figures in found["routes"].items()},
            found["errors"],
            found["answered"],
        )

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip()
