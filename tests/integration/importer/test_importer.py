"""The importer on a real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import Event, JobFailed, JobRequested, JobSkipped, PartitionImported
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.poll import eventually
from tests.support.values import a_job


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "data", retry_delay_s=0.05)


async def event(bus: Bus, kind: type[Event], generation: int = 1) -> Event:
    async def look() -> Event | None:
        found = await bus.last_event(kind, a_job().job_id)
        return found if found is not None and found.job.generation == generation else None

    found = await eventually(look)
    assert found is not None
    return found


async def ask(bus: Bus, endpoint: str, request: dict[str, Any]) -> Any:
    async def look() -> Any:
        with contextlib.suppress(Exception):
            return await bus.client.request(
                f"gex.svc.lake.{endpoint}", json.dumps(request).encode(), timeout=10
            )

    reply = await eventually(look)
    error = (reply.headers or {}).get("Nats-Service-Error-Code")
    return error or json.loads(reply.data)


async def test_a_staged_file_is_imported_announced_and_recorded(bus: Bus, lake: LakeOnDisk) -> None:
    command = lake.stage(records(10))
    await bus.publish_event(JobRequested(job=command.job, command_seq=1, url_sha256="0" * 64))
    await bus.publish_command(command)
    async with importing(bus, lake):
        imported = await event(bus, PartitionImported)
        assert isinstance(imported, PartitionImported)
        assert (imported.snapshots, imported.strike_rows, imported.sha256) == (10, 20, command.sha256)

        async def completed() -> bool:
            found = await ask(bus, "ledger", {"job_id": str(command.job.job_id)})
            return [row["status"] for row in found["rows"]] == ["completed"]

        await eventually(completed)
        assert lake.differences() == 0


async def test_the_same_file_again_is_announced_as_skipped(bus: Bus, lake: LakeOnDisk) -> None:
    async with importing(bus, lake):
        await bus.publish_command(lake.stage(records(10)))
        await event(bus, PartitionImported)
        await bus.publish_command(lake.stage(records(10), a_job(generation=2)))
        skipped = await event(bus, JobSkipped, generation=2)
        assert isinstance(skipped, JobSkipped)
        assert skipped.snapshots == 10


async def test_a_bad_file_is_a_dead_letter_and_blocks_no_other_job(bus: Bus, lake: LakeOnDisk) -> None:
    bad = a_job(base_url="https://hist.gex.bot/bad.json")
    await bus.publish_command(lake.stage([*records(2), {"timestamp": None}], bad))
    await bus.publish_command(lake.stage(records(10)))
    async with importing(bus, lake):
        await event(bus, PartitionImported)
        failed = await bus.last_event(JobFailed, bad.job_id)
        assert failed is not None
        assert (failed.final, failed.field) == (True, "timestamp")
        assert "record 3: timestamp is null" in failed.error
        letter = await bus.js.get_msg(subjects.DEAD, seq=failed.dead_letter_seq)
        assert letter.subject == "gex.dead.gex.job.import.medium.NQ_NDX"

        async def noted() -> bool:
            found = await ask(bus, "ledger", {"job_id": str(bad.job_id)})
            return bool(found["rows"]) and "record 3: timestamp is null" in (
                found["rows"][0]["last_error"] or ""
            )

        await eventually(noted)


async def test_queries_are_answered_and_refusals_carry_a_code(bus: Bus, lake: LakeOnDisk) -> None:
    async with importing(bus, lake):
        assert (await ask(bus, "sql", {"query": "SELECT 42 AS n"}))["rows"] == [[42]]
        assert await ask(bus, "sql", {"query": "DROP TABLE gex_strikes"}) == "400"
        slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
        late = asyncio.create_task(ask(bus, "sql", {"query": slow, "timeout_s": 1}))
        assert (await ask(bus, "sql", {"query": "SELECT 1"}))["rows"] == [[1]]
        assert not late.done()
        assert await late == "408"
        assert (await ask(bus, "coverage", {}))["partitions"] == []
