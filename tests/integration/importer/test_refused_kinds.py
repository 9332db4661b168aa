"""A refused file of any kind: its job names record and field, it is a dead letter, and nothing changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer import dead_letters
from tests.support.importer.lake import records
from tests.support.importer.refused_kinds import MAX_OUT_OF_DAY, REFUSED_KINDS, RefusedKind, good_file
from tests.support.system.oracle import assert_parquet_equals_table, query_lake
from tests.support.system.running import System, connection_to, running_system

NAME: Final = "2025-11-14_NQ_NDX_classic_gex_zero.json"
PARTITION: Final = "NQ_NDX/gex_zero/20251114.strikes.parquet"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that holds a good partition, which every refused file would replace."""
    settings = {"GEXLAKE_MAX_OUT_OF_DAY_RECORDS": str(MAX_OUT_OF_DAY)}
    with running_system(tmp_path_factory.mktemp("refused"), settings) as system:
        job = asyncio.run(brought_in(system, "good", NAME, good_file()))
        assert job["state"] == "completed", job
        yield system


async def brought_in(system: System, folder: str, name: str, content: bytes) -> dict[str, Any]:
    """Offer a file in a folder of its own at the vendor's, so that its job is one of its own; return that."""
    (system.folder / folder).mkdir()
    (system.folder / folder / name).write_bytes(content)
    url = system.vendor.url_of(f"{folder}/{name}")
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as client:
        answer = await client.post("/gex_history_url", json={"url": url, "type": "gex_zero"})
        answer.raise_for_status()
    return await system.finished(answer.json()["id"])


@dataclass(frozen=True)
class Standing:
    """What there is of the partition."""

    snapshots: list[list[Any]]
    strikes: list[list[Any]]
    partitions: list[list[Any]]
    parquet: tuple[str, int, int]


async def standing(system: System, bus: Bus) -> Standing:
    """Look at the tables, the partition's own row, and the Parquet file."""
    file = system.stack.data_dir / "parquet" / "gexbot" / PARTITION
    status = file.stat()
    return Standing(
        snapshots=await query_lake(bus, "FROM gex_snapshots ORDER BY ALL"),
        strikes=await query_lake(bus, "FROM gex_strikes ORDER BY ALL"),
        partitions=await query_lake(bus, "FROM partitions"),
        parquet=(hashlib.sha256(file.read_bytes()).hexdigest(), status.st_ino, status.st_mtime_ns),
    )


@pytest.mark.parametrize("kind", REFUSED_KINDS, ids=lambda kind: kind.name)
async def test_a_refused_file_is_named_is_a_dead_letter_and_leaves_the_partition(
    system: System, kind: RefusedKind
) -> None:
    async with connection_to(system.stack) as bus:
        before = await standing(system, bus)
        assert before.snapshots
        name = f"{NAME}.gz" if kind.packed else NAME
        job = await brought_in(system, kind.name, name, kind.content())
        assert (job["state"], job["error_field"]) == ("failed", kind.field), job["error"]
        assert kind.message in job["error"]
        await assert_is_a_dead_letter(bus, job, kind)
        assert await standing(system, bus) == before
        await assert_parquet_equals_table(bus)
    assert left_over(system) == []


async def assert_is_a_dead_letter(bus: Bus, job: dict[str, Any], kind: RefusedKind) -> None:
    """Check that the job's command is in DEAD with the reason that the job has."""
    letter = await bus.js.get_msg(subjects.DEAD, seq=job["dead_letter_seq"])
    assert letter.headers is not None
    assert letter.headers[dead_letters.ERROR] == kind.error
    assert letter.headers.get(dead_letters.FIELD) == kind.field
    assert letter.headers[dead_letters.REASON] == job["error"]
    assert json.loads(letter.data or b"")["job_id"] == job["id"]


def left_over(system: System) -> list[Path]:
    """Return hidden files of the lake, and what imports left in the scratch folder."""
    data_dir = system.stack.data_dir
    return [*(data_dir / "parquet").rglob(".*"), *(data_dir / ".scratch").glob("import-*")]


async def test_as_many_out_of_day_records_as_the_setting_allows_are_dropped(system: System) -> None:
    document = records(30)
    document[7]["timestamp"] -= 86_400
    job = await brought_in(system, "one_out_of_day", NAME, json.dumps(document).encode())
    assert (job["state"], job["snapshots"]) == ("completed", 30 - MAX_OUT_OF_DAY)
    assert await system.sql("SELECT snapshots, strays FROM partitions") == [[29, 1]]


async def test_a_mark_of_byte_order_is_no_reason_to_refuse_a_file(system: System) -> None:
    document = json.dumps(records(31)).encode()
    job = await brought_in(system, "marked", NAME, b"\xef\xbb\xbf" + document)
    assert (job["state"], job["snapshots"]) == ("completed", 31)
