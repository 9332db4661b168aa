"""Backup and restore by the Docker commands of docs/operations.md, into volumes that are new."""

from __future__ import annotations

import asyncio
import re
import shlex
from datetime import date
from typing import Final

from simulator.generator import Day
from tests.support.repository import ROOT
from tests.support.system.compose import ComposeStack, local_url
from tests.support.system.oracle import assert_holds_exactly, assert_parquet_equals_table

SERVICES_USER: Final = "10001"


async def test_a_backup_restored_into_new_volumes_has_all_and_belongs_to_the_services(
    stack: ComposeStack,
) -> None:
    held = Day(ticker="NDX", day=date(2025, 8, 1), snapshots=40, strikes=5)
    later = Day(ticker="NDX", day=date(2025, 8, 4), snapshots=40, strikes=5)
    for day in (held, later):
        stack.offer(day)
    job_id = await stack.post(local_url(held))
    assert (await stack.finished(job_id))["state"] == "completed"
    stack.configure(GEXLAKE_BACKUPS=str(stack.folder / "backups"))
    (backup,), (restore,) = commands("backup"), commands("restore")
    await asyncio.to_thread(stack.compose, *backup)
    await asyncio.to_thread(stack.compose, "--profile", "tools", "down", "--volumes")
    await asyncio.to_thread(stack.compose, *restore)
    await asyncio.to_thread(stack.up)
    assert (await stack.job(job_id))["state"] == "completed"
    assert (await stack.finished(await stack.post(local_url(later))))["state"] == "completed"
    async with stack.connected() as bus:
        for day in (held, later):
            await assert_holds_exactly(bus, day)
        await assert_parquet_equals_table(bus)
    owners = stack.exec("importer", "find", "/data/", "-mindepth", "1", "-printf", "%U\n").split()
    assert set(owners) == {SERVICES_USER}


def commands(name: str) -> list[list[str]]:
    """Return what comes after ``docker compose`` in the document's commands that back up, or restore."""
    text = (ROOT / "docs/operations.md").read_text()
    found = re.findall(rf"^    docker compose (run --rm backup {name} .*)$", text, re.MULTILINE)
    return [shlex.split(line) for line in found]
