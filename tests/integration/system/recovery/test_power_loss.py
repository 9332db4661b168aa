"""Power loss: the disk of the whole system, broker included, loses everything that was not flushed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.stack import NATS, SERVICES, Stack
from simulator.vendor import Vendor
from tests.support.repository import ROOT
from tests.support.system.audit import audit
from tests.support.system.clients import patient_client
from tests.support.system.power import PowerDisk, power_disk
from tests.support.system.running import SETTINGS, System
from tests.support.system.workload import request_days

pytestmark = pytest.mark.slow

CUTS = 6
DAYS = 33
RUNS_FOR_S = (1.5, 5.0)
FINISHED_WITHIN_S = 120.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PowerDisk]:
    with power_disk(tmp_path) as disk:
        yield disk


@pytest.fixture
def system(disk: PowerDisk, tmp_path: Path) -> Iterator[System]:
    files = tmp_path / "vendor"
    files.mkdir()
    with Vendor(files) as vendor:
        settings = {**SETTINGS, "GEXLAKE_ALLOWED_SOURCES": vendor.base_url, "GEXLAKE_SOURCE_PAUSE_S": "0.2"}
        with Stack(disk.folder / "stack", env=settings) as stack:
            yield System(stack, vendor, files)


def test_what_was_not_flushed_is_lost(disk: PowerDisk) -> None:
    """The disk does what the other test relies on."""
    for name in ("flushed", "renamed", "unflushed"):
        with (disk.folder / name).open("w") as file:
            file.write("content")
            file.flush()
            if name != "unflushed":
                os.fsync(file.fileno())
    (disk.folder / "renamed").rename(disk.folder / "final")
    disk.cut()
    with pytest.raises(OSError, match="Input/output"):
        (disk.folder / "late").touch()
    disk.restore()
    assert (disk.folder / "flushed").read_text() == (disk.folder / "renamed").read_text() == "content"
    unflushed = disk.folder / "unflushed"
    assert not unflushed.exists() or unflushed.read_text() == ""
    assert not (disk.folder / "final").exists()


def test_the_keys_of_signed_urls_are_on_the_disk_before_the_broker_starts(disk: PowerDisk) -> None:
    keys = disk.folder / "data" / "secrets" / "urls" / "keys"
    subprocess.run([ROOT / "deploy" / "url-keys", "create", keys], check=True)
    created = keys.read_text()
    disk.cut()
    disk.restore()
    assert keys.read_text() == created


async def test_a_power_loss_at_any_moment_loses_and_spoils_nothing(disk: PowerDisk, system: System) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"CHAOS_SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    source = random.Random(seed)
    runs = [source.uniform(*RUNS_FOR_S) for _ in range(CUTS)]
    async with patient_client(system.stack.url, system.vendor) as client:
        requesting = asyncio.create_task(request_days(system, client, source, DAYS, sum(runs)))
        for run_s in runs:
            await asyncio.sleep(run_s)
            await asyncio.to_thread(lose_power, disk, system.stack)
        outcomes = await asyncio.wait_for(requesting, FINISHED_WITHIN_S)
        await asyncio.to_thread(system.stack.wait_ready)
        await audit(system, client.jobs, outcomes)


def lose_power(disk: PowerDisk, stack: Stack) -> None:
    """Cut the power, and start everything again."""
    disk.cut()
    for name in (NATS, *SERVICES):
        with contextlib.suppress(KeyError):
            stack.kill(name)
    disk.restore()
    for name in (NATS, *SERVICES):
        stack.start_service(name)
    stack.wait_ready()
