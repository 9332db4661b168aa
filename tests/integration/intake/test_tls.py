"""Intake with a certificate of a private authority: its health check, and the command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from gexlake.cli.__main__ import main
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from tests.support.intake.running import IntakeProcess, intake_process
from tests.support.poll import eventually
from tests.support.repository import ROOT

Say = Callable[..., tuple[int, str]]


@dataclass(frozen=True)
class Secured:
    """An intake process that serves https, its environment, and the file of the authority."""

    intake: IntakeProcess
    environment: dict[str, str]
    ca_file: Path

    @property
    def port(self) -> str:
        """Its port."""
        return self.intake.url.rpartition(":")[2]

    def health(self) -> subprocess.CompletedProcess[str]:
        """Run the health check as a container does."""
        return subprocess.run(
            [sys.executable, "-m", "services.intake.health"],
            env={"PYTHONPATH": str(ROOT), "GEXLAKE_PORT": self.port, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def secured(nats_url: str, bus: Bus, tmp_path: Path) -> Iterator[Secured]:
    assert bus.client.is_connected
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    paths = {name: tmp_path / f"{name}.pem" for name in ("certfile", "keyfile", "authority")}
    certificate.private_key_pem.write_to_path(paths["keyfile"])
    certificate.cert_chain_pems[0].write_to_path(paths["certfile"])
    authority.cert_pem.write_to_path(paths["authority"])
    environment = {
        "GEXLAKE_NATS_URL": nats_url,
        "GEXLAKE_SSL_CERTFILE": str(paths["certfile"]),
        "GEXLAKE_SSL_KEYFILE": str(paths["keyfile"]),
    }
    with intake_process(tmp_path, **environment) as intake:
        yield Secured(intake, environment, paths["authority"])


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command; return its exit status and what it wrote."""

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return run


async def test_the_health_check_follows_the_certificate(secured: Secured, bus: Bus) -> None:
    async def is_healthy() -> bool:
        return (await asyncio.to_thread(secured.health)).returncode == 0

    async with announce_service(bus, "importer", "for tests"):
        await eventually(is_healthy)
    no_longer = secured.health()
    assert no_longer.returncode == 1
    assert "503" in no_longer.stderr
    assert "the importer does not answer" in no_longer.stderr


@pytest.mark.parametrize("setting", ["GEXLAKE_CA_FILE", "SSL_CERT_FILE"])
async def test_the_command_line_accepts_a_private_authority(
    secured: Secured, say: Say, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("GEXLAKE_URL", secured.intake.url.replace("http:", "https:"))
    await eventually(lambda: "set GEXLAKE_CA_FILE to the certificate of the authority" in say("jobs")[1])
    monkeypatch.setenv(setting, str(secured.ca_file))
    await eventually(lambda: say("jobs") == (0, "no jobs\n"))


async def test_the_command_line_says_what_to_do_about_certificates(
    secured: Secured, say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEXLAKE_PORT", secured.port)
    await eventually(lambda: "does it want https?" in say("jobs")[1])
    monkeypatch.setenv("GEXLAKE_SSL_CERTFILE", secured.environment["GEXLAKE_SSL_CERTFILE"])
    assert f"the certificate of https://127.0.0.1:{secured.port} is not accepted" in say("jobs")[1]
    monkeypatch.setenv("GEXLAKE_CA_FILE", str(secured.ca_file))
    monkeypatch.setenv("GEXLAKE_URL", f"https://localhost:{secured.port}")
    assert "use the host that it names in GEXLAKE_URL" in say("jobs")[1]
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("GEXLAKE_CA_FILE", str(tmp_path / "empty.pem"))
    assert "GEXLAKE_CA_FILE has no certificates that can be read" in say("jobs")[1]
