"""A data folder that an earlier version has written starts, replays and imports with this version."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx
import pyarrow.parquet as pq
import pytest

from simulator.generator import Day
from simulator.stack import Stack
from simulator.vendor import Vendor
from tests.golden.make_data_folder import SETTINGS
from tests.support.files.oracle_orderflow import orderflow
from tests.support.files.oracle_state import Row, readable, state_contracts, state_greeks, state_strikes
from tests.support.poll import eventually
from tests.support.repository import GOLDEN
from tests.support.system.oracle import assert_holds_records, assert_parquet_equals_table
from tests.support.system.running import System, connection_to

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/cwd").exists(), reason="the URLs of the files lead through /proc"
)

ARCHIVES: Final = sorted(GOLDEN.glob("v*/data-folder.tar.xz"))
KEEP_ALL: Final = """
from dataclasses import replace
from shared.bus import streams
streams.STREAMS = tuple(replace(stream, max_age_s=0) for stream in streams.STREAMS)
"""
"""Lifts the maximum age of the streams: the messages of an archive are older every day."""
CLASSIC: Final = "2025-11-14_NQ_NDX_classic_gex_zero.json"
REFUSED: Final = "2025-11-12_NQ_NDX_classic_gex_zero.json"
FILES: Final = {
    CLASSIC: "skipped",
    "2025-11-13_SPX_classic_gex_full.json": "completed",
    "2025-11-14_ES_SPX_state_gex_zero.json": "completed",
    "2025-11-14_ES_SPX_state_gamma_zero.json": "completed",
    "2025-11-14_ES_SPX_orderflow_orderflow.json": "completed",
    REFUSED: "failed",
}
STATE: Final[dict[str, tuple[str, Callable[[bytes], list[Row]]]]] = {
    "state_strikes": (
        "2025-11-14_ES_SPX_state_gex_zero.json",
        lambda data: state_strikes(data, "state_gex_zero"),
    ),
    "state_greeks": (
        "2025-11-14_ES_SPX_state_gamma_zero.json",
        lambda data: state_greeks(data, "state_gamma_zero"),
    ),
    "state_contracts": (
        "2025-11-14_ES_SPX_state_gamma_zero.json",
        lambda data: state_contracts(data, "state_gamma_zero"),
    ),
    "orderflow": ("2025-11-14_ES_SPX_orderflow_orderflow.json", orderflow),
}


@pytest.fixture(params=ARCHIVES, ids=lambda archive: archive.parent.name)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """This version's stack on the folder of an archive, beside a vendor of new days."""
    folder = tmp_path / "stack"
    with tarfile.open(request.param) as tar:
        tar.extractall(folder, filter="data")
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(KEEP_ALL)
    files = tmp_path / "vendor"
    files.mkdir()
    with Vendor(files) as vendor:
        settings = {**SETTINGS, "GEXLAKE_ALLOWED_SOURCES": vendor.base_url}
        with Stack(folder, env=settings, python_path=(startup,)) as stack:
            yield System(stack, vendor, files)


@pytest.mark.slow
async def test_a_data_folder_of_an_earlier_version_starts_replays_and_imports(system: System) -> None:
    async with connection_to(system.stack) as bus:
        assert not any(info.config.max_age for info in await bus.js.streams_info())
    jobs = await jobs_by_file(system)
    assert {name: job["state"] for name, job in jobs.items()} == FILES
    assert "record 4" in jobs[REFUSED]["error"]
    assert len(list((system.stack.data_dir / "parquet").rglob("*.parquet"))) == len(FILES) - 1
    await assert_rows(system)

    await replayed_over_http(system, jobs[CLASSIC])
    await replayed_over_nats(system, jobs[REFUSED])

    assert (await system.import_day(system.new_day()))["state"] == "completed"
    await system.assert_whole(*system.days)
    await assert_rows(system)


async def replayed_over_http(system: System, job: dict[str, Any]) -> None:
    """Replay a finished job with ``force``: the file is imported again."""
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False) as client:
        body = {"force": True, "reason": "to replay a job of an earlier version"}
        (await client.post(f"/jobs/{job['id']}/replay", json=body)).raise_for_status()
    again = await finished_again(system, job)
    assert again["state"] == "completed", again["error"]


async def replayed_over_nats(system: System, job: dict[str, Any]) -> None:
    """Replay a failed job from its download, after its file was repaired."""
    records = json.loads(source(system, REFUSED))
    records[3]["spot"] = records[2]["spot"]
    (system.stack.folder / "sources" / REFUSED).write_text(json.dumps(records))
    async with connection_to(system.stack) as bus:
        request = json.dumps({"job_id": job["id"], "stage": "fetch"}).encode()
        reply = await bus.client.request("gex.svc.jobs.replay", request, timeout=10)
        assert json.loads(reply.data)["id"] == job["id"], (reply.headers, reply.data)
        again = await finished_again(system, job)
        assert again["state"] == "completed", again["error"]
        await assert_holds_records(bus, day_of(job), records)


async def jobs_by_file(system: System) -> dict[str, dict[str, Any]]:
    """Return the jobs in full, by the names of their files."""
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False) as client:
        listed = (await client.get("/jobs", params={"limit": 100})).json()["jobs"]
        jobs = [(await client.get(f"/jobs/{job['id']}")).json() for job in listed]
    return {job["url"].rpartition("/")[2]: job for job in jobs}


async def finished_again(system: System, job: dict[str, Any]) -> dict[str, Any]:
    """Return a job once its next generation is finished."""

    async def look() -> dict[str, Any]:
        found = await system.finished(job["id"])
        return found if found["generation"] == job["generation"] + 1 else {}

    return await eventually(look, what=lambda: f"the replay of {job['id']}\n{system.stack.tails()}")


async def assert_rows(system: System) -> None:
    """Check every table against the files that its rows came from, and Parquet against the tables."""
    async with connection_to(system.stack) as bus:
        for name, job in (await jobs_by_file(system)).items():
            if job["state"] != "failed" and job["endpoint"].startswith("gex_") and name in FILES:
                await assert_holds_records(bus, day_of(job), json.loads(source(system, name)))
        await assert_parquet_equals_table(bus)
    for table, (name, expected) in STATE.items():
        rows = await rows_of(system, table)
        assert rows == expected(source(system, name)), table
        for path in (system.stack.data_dir / "parquet").rglob(f"*.{table}.parquet"):
            assert [readable(row) for row in pq.ParquetFile(path).read().to_pylist()] == rows, path


async def rows_of(system: System, table: str) -> list[Row]:
    """Return the rows of a table by column, without the columns about their import."""
    about_import = {"source", "job_id"}
    found = await system.sql(f"SELECT column_name FROM (DESCRIBE {table})")
    columns = [name for (name,) in found if name not in about_import]
    order = "timestamp, strike" if "strike" in columns else "timestamp"
    rows = await system.sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")
    return [readable(dict(zip(columns, row, strict=True))) for row in rows]


def day_of(job: dict[str, Any]) -> Day:
    """Return the partition of a job; the records are not those of its file."""
    return Day(job["ticker"], job["endpoint"], date.fromisoformat(job["trading_day"]))


def source(system: System, name: str) -> bytes:
    """Return a file of the archive that was posted."""
    return (system.stack.folder / "sources" / name).read_bytes()
