"""compose.yaml under testcontainers: a project name, ports and volumes of its own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from testcontainers.compose import DockerCompose

from gexlake.api.jobs import FINISHED
from shared.bus.connection import Bus
from shared.process.settings import Settings
from simulator.generator import Day, FileSummary
from simulator.nats_server import free_port
from tests.support.poll import eventually
from tests.support.repository import ROOT

VENDOR_URL: Final = "http://127.0.0.1:8000/"
"""Address of the vendor's stand-in, which only the fetcher can reach."""
_FILES: Final = ["compose.yaml", "tests/e2e/compose.e2e.yaml"]


class ComposeStack:
    """The system as containers.

    Args:
        folder: scratch space; its ``files`` are what the vendor serves and what ``/local`` holds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(mode=0o755)
        self.port = free_port()
        self.nats_port = free_port()
        self.project = f"gexlake-e2e-{secrets.token_hex(3)}"
        self._env_file = folder / "env"
        self._compose = DockerCompose(
            context=ROOT,
            compose_file_name=_FILES,
            env_file=str(self._env_file),
            profiles=["tools"],
            build=True,
            wait=True,
        )

    @property
    def url(self) -> str:
        """URL of intake."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def nats_url(self) -> str:
        """URL of the broker for an operator."""
        password = self.exec("nats", "cat", "/run/gexlake/operator/nats-password").strip()
        return f"nats://operator:{password}@127.0.0.1:{self.nats_port}"

    def up(self, **settings: str) -> None:
        """Build, start or change what differs, and wait until everything is healthy."""
        self.configure(**settings)
        self._compose.start()

    def configure(self, **settings: str) -> None:
        """Set the settings of containers that start from now on."""
        env = {
            "COMPOSE_PROJECT_NAME": self.project,
            "GEXLAKE_PORT": str(self.port),
            "GEXLAKE_NATS_PORT": str(self.nats_port),
            "GEXLAKE_LOCAL_SOURCES": str(self.files),
            "GEXLAKE_ALLOWED_SOURCES": VENDOR_URL,
            "GEXLAKE_ACK_WAIT_S": "5",
            "GEXLAKE_RETRY_DELAY_S": "0.5",
            "GEXLAKE_RATE_LIMIT_HISTORY": "100000/minute",
            **settings,
        }
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in env.items()))

    def down(self) -> None:
        """Remove the containers and keep the volumes, as ``docker compose down`` does."""
        self.compose("down")

    def remove(self) -> None:
        """Remove the containers, the volumes and the images."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")

    def compose(self, *words: str) -> str:
        """Run a command of docker compose and return what it prints.

        Raises:
            AssertionError: it failed.
        """
        return _output([*self._compose.compose_command_property, *words])

    def exec(self, service: str, *command: str) -> str:
        """Run a command in a service's container and return what it prints.

        Raises:
            AssertionError: it failed.
        """
        return self.compose("exec", "-T", service, *command)

    def nats(self, *words: str) -> str:
        """Run the ``nats`` command in nats-box and return what it prints."""
        return self.exec("nats-box", "nats", *words)

    def kill(self, service: str) -> None:
        """End a service's container as ``kill -9`` does."""
        _output(["docker", "kill", "--signal", "KILL", self._container(service)])

    def start(self, service: str) -> None:
        """Start a container that was killed."""
        _output(["docker", "start", self._container(service)])

    def state(self, service: str) -> str | None:
        """Return the container's state, such as ``running`` or ``exited``."""
        return self._compose.get_container(service, include_all=True).State

    def inspect(self, service: str, template: str) -> str:
        """Return the output of ``docker inspect`` for a service's container, by a Go template."""
        return _output(["docker", "inspect", "--format", template, self._container(service)]).strip()

    def logs(self) -> str:
        """Return the logs of all containers."""
        return self.compose("logs", "--no-color", "--timestamps")

    def offer(self, day: Day) -> FileSummary:
        """Write a day's file to where the vendor serves it and where ``file:///local/`` finds it."""
        written = day.write(self.files / day.file_name)
        (self.files / day.file_name).chmod(0o644)
        return written

    async def post(self, url: str, **fields: object) -> str:
        """Post a source URL until it is accepted, and return the job's id.

        Raises:
            AssertionError: it is refused, or not accepted within a minute.
        """

        async def accepted() -> str | None:
            answer = await self._ask("POST", "/gex_history_url", {"url": url, **fields})
            assert answer is None or answer.is_success or answer.is_server_error, answer.text
            return str(answer.json()["id"]) if answer is not None and answer.is_success else None

        job_id = await eventually(accepted, within_s=60, what=f"accepting {url}")
        assert job_id is not None
        return job_id

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return the answer of ``GET /jobs/{id}``; empty if there is none or the job is unknown."""
        answer = await self._ask("GET", f"/jobs/{job_id}")
        return dict(answer.json()) if answer is not None and answer.is_success else {}

    async def finished(self, job_id: str, within_s: float = 60.0) -> dict[str, Any]:
        """Return a job once it is finished, in any state."""

        async def ended() -> dict[str, Any]:
            job = await self.job(job_id)
            return job if job.get("state") in FINISHED else {}

        return await eventually(ended, within_s=within_s, what=f"the end of job {job_id}")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Bus]:
        """Connect to the stack's broker from outside."""
        bus = await Bus.connect(Settings(nats_url=self.nats_url), "test")
        try:
            yield bus
        finally:
            await bus.close()

    def _container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    async def _ask(self, method: str, path: str, body: object = None) -> httpx.Response | None:
        """Return intake's response, or None if it cannot be reached."""
        try:
            async with httpx.AsyncClient(base_url=self.url, timeout=10, trust_env=False) as client:
                return await client.request(method, path, json=body)
        except httpx.TransportError:
            return None


def local_url(day: Day) -> str:
    """Return the ``file://`` URL of an offered day."""
    return f"file:///local/{day.file_name}"


def vendor_url(day: Day, query: str = "sig=secret-signature") -> str:
    """Return the signed URL of an offered day."""
    return f"{VENDOR_URL}{day.file_name}?{query}"


def why_no_docker() -> str:
    """Return why container tests cannot run on this machine; empty when they can."""
    try:
        _output(["docker", "compose", "version"])
        _output(["docker", "info"])
    except FileNotFoundError:
        return "there is no docker command"
    except AssertionError as error:
        return f"there is no Docker engine: {error}"
    return ""


def _output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command[-6:])}: {done.stderr.strip()[-2000:]}"
    return done.stdout
