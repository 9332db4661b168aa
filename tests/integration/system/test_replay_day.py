"""A stored day, replayed to another gexlake, gives the rows there that its import gave here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.generator import Day
from simulator.stack import Stack
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.system.running import WITHIN_S, System, running_system

pytestmark = pytest.mark.slow

DAY = Day("NQ_NDX", "gex_one", date(2025, 11, 14), snapshots=1200, strikes=25, per_second=2)
WALLS = {
    "call_wall_candidate1_pct": 0.25,
    "call_wall_candidate2_pct": 12,
    "put_wall_candidate1_pct": None,
    "put_wall_candidate2_pct": -0.125,
}
TABLES = {"gex_snapshots": "* EXCLUDE (source, job_id)", "gex_strikes": "*"}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[System]:
    folder = tmp_path / "source"
    folder.mkdir()
    with running_system(folder) as system:
        yield system


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "target", env={"RATE_LIMIT_GEX": "100000/minute"}) as stack:
        yield stack


def varied() -> list[dict[str, Any]]:
    """Return the records of the day, some with everything that a record may have, some with less."""
    records = list(DAY.records())
    records[3] |= WALLS
    records[4] |= {
        "strikes": [[25000, 1], [25010, -2.5, None], [25020, 3, 4, [1, None, 2.5]], [25030, 0, 0, []]]
    }
    records[5] |= {"strikes": [], "max_priors": []}
    records[6] |= {"min_dte": None, "major_pos_oi": None, "max_priors": None}
    for name in ("sec_min_dte", "delta_risk_reversal", "max_priors", "strikes"):
        del records[7][name]
    return records


async def replay_day(source: Stack, target: Stack, *options: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gexlake.cli", "replay-day", DAY.ticker, DAY.endpoint, str(DAY.day)),
        *("--to", target.url, *options),
        cwd=source.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GEXLAKE_URL": source.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return await process.wait(), out.decode(), err.decode()


async def rows(stack: Stack, table: str) -> list[str]:
    """Return all rows of a table as CSV, which has every digit of a number."""
    query = f"SELECT {TABLES[table]} FROM {table} ORDER BY ALL"
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=WITHIN_S) as client:
        answer = await client.post("/api/v1/sql", json={"query": query}, headers={"Accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()


async def test_a_replayed_day_has_the_rows_of_its_import(source: System, target: Stack) -> None:
    source.offer(DAY, json.dumps(varied()).encode())
    job = await source.finished(await source.post(DAY))
    assert (job["state"], job["snapshots"]) == ("completed", DAY.snapshots)
    status, out, err = await replay_day(source.stack, target, "--speed", "600", "--json")
    summary = json.loads(out)
    assert (status, summary["posted"], summary["refused"]) == (0, DAY.snapshots, 0), err
    for table in TABLES:
        imported = await rows(source.stack, table)
        assert len(imported) > DAY.snapshots

        async def are_there(table: str = table, count: int = len(imported)) -> bool:
            return len(await rows(target, table)) >= count

        await eventually(are_there, within_s=WITHIN_S, what=f"the rows of {table}")
        assert await rows(target, table) == imported
    status, _, err = await replay_day(source.stack, source.stack)
    assert (status, "live snapshots never replace" in err) == (1, True)
