"""Forty hostile queries on a running system: others are answered meanwhile, and SIGTERM ends the importer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from simulator.stack import Stack
from tests.support.poll import eventually

pytestmark = pytest.mark.slow

MEMORY_MB: Final = 256
IMPORTER_MB: Final = 4 * MEMORY_MB + 400
"""Four processes of queries, and the importer itself."""
DRAIN_S: Final = 3
TIMEOUT_S: Final = 10
QUERIES: Final = (
    "SELECT len(range(1000000000))",
    "SELECT repeat('x', 1000000000)",
    "SELECT max(levenshtein(repeat('a', 50000 + r::INT), repeat('b', 50000))) FROM range(100) t(r)",
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3",
    "SELECT list(range) FROM range(100000000)",
    "WITH RECURSIVE t AS (SELECT 1 x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
    "SELECT string_agg(repeat('x', 1000), '') FROM range(10000000)",
    "SELECT * FROM range(100000000) ORDER BY hash(range)",
    f"SELECT {'(' * 5000}1{')' * 5000}",
    "SELECT jaro_winkler_similarity(repeat('a', 500000), repeat('b', 500000))",
)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    settings = {"GEXLAKE_SQL_MEMORY_MB": str(MEMORY_MB), "GEXLAKE_DRAIN_TIMEOUT_S": str(DRAIN_S)}
    with Stack(tmp_path / "stack", env=settings) as stack:
        yield stack


def family_of(pid: int) -> Iterator[Path]:
    """Yield the folders in /proc of a process and of those that it started."""
    folder = Path("/proc") / str(pid)
    yield folder
    with contextlib.suppress(OSError):  # it has ended
        for thread in (folder / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family_of(int(child))


def memory_mb(pid: int) -> float:
    """Return the memory of a process and of those that it started, in MiB; shared memory counts once."""
    total = 0.0
    for folder in family_of(pid):
        with contextlib.suppress(OSError):
            total += int((folder / "smaps_rollup").read_text().split("Pss:")[1].split()[0]) / 1024
    return total


async def test_hostile_queries_cost_others_nothing(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url, timeout=60, trust_env=False) as client:

        async def send(query: str) -> int:
            response = await client.post("/api/v1/sql", json={"query": query, "timeout_s": TIMEOUT_S})
            return response.status_code

        hostile = [asyncio.create_task(send(query)) for query in QUERIES * 4]
        waits: list[float] = []
        memory: list[float] = []
        while not all(task.done() for task in hostile):
            began = time.monotonic()
            response = await client.post("/api/v1/sql", json={"query": "SELECT 1"})
            waits.append(time.monotonic() - began)
            assert response.json()["rows"] == [[1]], response.text
            memory.append(await asyncio.to_thread(memory_mb, stack.processes["importer"].pid))
            assert (await client.get("/ready")).status_code == 200
        assert {task.result() for task in hostile} <= {200, 400, 408, 503}
    assert max(memory) < IMPORTER_MB, max(memory)
    # None waited for a hostile one.
    assert max(waits) < TIMEOUT_S


async def test_the_importer_ends_within_its_drain_time(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url, timeout=60, trust_env=False) as client:
        body = {"query": QUERIES[2], "timeout_s": 30}
        hostile = [asyncio.create_task(client.post("/api/v1/sql", json=body)) for _ in range(4)]
        pid = stack.processes["importer"].pid
        await eventually(lambda: len(list(family_of(pid))) >= 5, what="running queries")
        family = list(family_of(pid))
        assert await asyncio.to_thread(stack.stop_service, "importer", grace_s=DRAIN_S + 10) == 0
        await eventually(
            lambda: not any(folder.exists() for folder in family), what="the end of its processes"
        )
        for task in hostile:
            task.cancel()
        await asyncio.gather(*hostile, return_exceptions=True)
