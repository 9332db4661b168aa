"""Backup and restore by the commands of docs/operations.md: of a busy system, onto another machine."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import duckdb
import httpx
import pytest

from simulator.stack import NATS, SERVICES, Stack
from tests.support.repository import ROOT
from tests.support.system.running import SETTINGS, System, running_system

pytestmark = pytest.mark.slow

GEXLAKE: Final = Path(sys.executable).parent / "gexlake"
COUNTS: Final = """
    SELECT (SELECT count(*) FROM gex_snapshots), (SELECT count(*) FROM gex_strikes),
        (SELECT list((trading_day, status) ORDER BY trading_day) FROM gex_history_queue)
"""


async def test_a_backup_restored_on_another_machine_has_all_and_goes_on(tmp_path: Path) -> None:
    with running_system(tmp_path) as system:
        held = [system.new_day() for _ in range(3)]
        for day in held:
            assert (await system.import_day(day))["state"] == "completed"
        busy = [system.new_day() for _ in range(6)]
        posted = [await system.post(day) for day in busy]
        (backup,), (restore,) = commands("backup"), commands("restore")
        assert "done: " in await asyncio.to_thread(run, backup, system.stack, tmp_path)
        await asyncio.to_thread(system.stack.stop)
        allowed = {"GEXLAKE_ALLOWED_SOURCES": system.vendor.base_url}
        other = Stack(tmp_path / "other", env={**SETTINGS, **allowed})
        other.folder.mkdir()
        try:
            other.start_service(NATS)
            await asyncio.to_thread(run, restore, other, tmp_path)
            for service in SERVICES:
                other.start_service(service)
            await asyncio.to_thread(other.wait_ready)
            moved = System(other, system.vendor, system.folder, system.days)
            for job_id in posted:
                assert (await moved.finished(job_id))["state"] == "completed"
            await moved.assert_whole(*held, *busy)
            assert list((await states(other)).values()) == ["completed"] * 9
            assert (await moved.import_day(moved.new_day()))["state"] == "completed"
        finally:
            await asyncio.to_thread(other.stop)
        with duckdb.connect(str(other.data_dir / "gex_data.db"), read_only=True) as connection:
            snapshots, strikes, ledger = connection.execute(COUNTS).fetchall()[0]
        assert (snapshots, strikes) == (10 * 30, 10 * 150)
        assert [status for _, status in ledger] == ["completed"] * 10


def commands(name: str) -> list[list[str]]:
    """Return the commands of the document that back up, or restore, without Docker."""
    text = (ROOT / "docs/operations.md").read_text()
    return [shlex.split(line) for line in re.findall(rf"^    (gexlake {name} .*)$", text, re.MULTILINE)]


def run(command: list[str], stack: Stack, folder: Path) -> str:
    environment = {
        **os.environ,
        "GEXLAKE_DATA_DIR": str(stack.data_dir),
        "GEXLAKE_NATS_URL": stack.nats.url,
    }
    ended = subprocess.run(
        [str(GEXLAKE), *command[1:]],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def states(stack: Stack) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        found = (await client.get("/jobs")).json()["jobs"]
    return {job["id"]: job["state"] for job in found}
