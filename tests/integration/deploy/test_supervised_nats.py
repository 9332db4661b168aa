"""The broker's disk full, then free again: jobs are taken again, and no one has restarted anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.nats_server_binary import OPEN_CONFIG, binary
from services.intake.settings import IntakeSettings
from shared.bus.connection import connected
from shared.bus.reports.presence import announce_service
from simulator.nats_server import free_port
from tests.support.intake.running import DAY_URL, RunningIntake, running_intake
from tests.support.poll import eventually
from tests.support.repository import ROOT

pytestmark = pytest.mark.slow
_SIZE = "size=16m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", _SIZE, "tmpfs", str(folder)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


@contextmanager
def supervised(store: Path, log: Path) -> Iterator[str]:
    """Run a supervised nats-server, as ``make run`` does, and yield its URL."""
    port = free_port()
    server = [binary(), "-c", str(OPEN_CONFIG), "-a", "127.0.0.1", "-p", str(port), "-sd", str(store)]
    command = [sys.executable, "-m", "deploy.supervised_nats", str(store), *server]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=15) in {0, 1}, log.read_text()


def fill(folder: Path) -> Path:
    """Leave no space on a disk; return the file to remove."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (1 << 16, 1 << 9):
            try:
                while file.write(bytes(block)):
                    pass
            except OSError:
                continue
    return filler


async def test_a_full_disk_that_has_space_again_needs_no_hand(disk: Path, tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    with supervised(disk / "nats", log) as url:
        settings = IntakeSettings(nats_url=url, ack_wait_s=5)
        async with (
            running_intake(settings) as intake,
            connected(settings, "importer") as bus,
            announce_service(bus, "importer", "stands in"),
        ):
            await eventually(lambda: is_ready(intake), within_s=30)
            filler = fill(disk)
            number = 0

            async def is_refused() -> bool:
                nonlocal number
                number += 1
                return (await intake.post({"url": f"{DAY_URL}?{number}"})).status_code == 503

            await eventually(is_refused, within_s=60)
            reasons = (await intake.get("/ready", 503))["reasons"]
            assert "takes no messages" in reasons[0]
            filler.unlink()
            await eventually(lambda: is_ready(intake), within_s=60, what=log.read_text)
            await intake.queue(url=DAY_URL)


async def is_ready(intake: RunningIntake) -> bool:
    return (await intake.http.get("/ready")).status_code == 200
