"""The system whose database or files are lost while the importer is down: it has them again by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import duckdb
import httpx
import pytest

from shared.paths import LakePaths
from tests.support.poll import eventually
from tests.support.system.running import WITHIN_S, System, running_system

pytestmark = pytest.mark.slow


async def test_days_come_back_from_parquet_from_staged_files_and_from_the_source(tmp_path: Path) -> None:
    with running_system(tmp_path) as system:
        paths = LakePaths.under(system.stack.data_dir)
        days = [system.new_day() for _ in range(3)]
        for day in days:
            assert (await system.import_day(day))["state"] == "completed"
        await asyncio.to_thread(system.stack.kill, "importer")
        paths.database.unlink()
        of_staged, of_source = (f"{day.day:%Y%m%d}" for day in days[1:])
        for root in (paths.parquet_root, paths.records_root):
            for path in [*root.rglob(f"{of_staged}*"), *root.rglob(f"{of_source}*")]:
                path.unlink()
        for path in paths.staging_root.rglob(f"{days[2].day}*"):
            path.unlink()
        await system.restart("importer")
        await eventually(lambda: is_mended(system, len(days)), within_s=WITHIN_S, what=system.stack.tails)
        await system.assert_whole(*days)
        assert await asyncio.to_thread(tables, system) == [
            (30, 150, "completed", 1),
            (30, 150, "completed", 1),
            (30, 150, "completed", 2),
        ]


async def is_mended(system: System, days: int) -> bool:
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False) as client:
        status = (await client.get("/status")).json()
        found = list((system.stack.data_dir / "parquet").rglob("*.parquet"))
        is_idle = all(not depth for queue in status["queue"].values() for depth in queue.values())
        return status["partitions_to_rebuild"] == 0 and len(found) == days and is_idle


def tables(system: System) -> list[tuple[object, ...]]:
    """Return the counts in the tables of the stopped importer, by day, and the ledger's status."""
    system.stack.stop_service("importer")
    with duckdb.connect(str(system.stack.data_dir / "gex_data.db"), read_only=True) as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM gex_snapshots s WHERE s.job_id = id), strike_rows, status, "
            "generation FROM gex_history_queue ORDER BY trading_day"
        ).fetchall()
