"""The metadata of a Parquet file, as different readers see it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl
import pytest
from pyarrow import parquet

from gexlake import __version__
from services.importer.imports.recovery import finish_committed
from shared.bus.connection import Bus
from shared.bus.messages import ImportFile
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON


class SilentBus:
    """A bus without listeners."""

    def clock(self) -> datetime:
        return NOON

    async def publish_event(self, _: object) -> None:
        pass


def the_file(lake: LakeOnDisk) -> Path:
    (path,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    return path


def expected(command: ImportFile) -> dict[str, str]:
    return {
        "gexlake.schema_version": "1",
        "gexlake.version": __version__,
        "gexlake.ticker": "NQ_NDX",
        "gexlake.endpoint": "gex_zero",
        "gexlake.trading_day": "2025-11-14",
        "gexlake.job_id": str(command.job.job_id),
        "gexlake.source_sha256": command.sha256,
    }


def by_duckdb(path: Path) -> dict[str, str]:
    rows = duckdb.connect().execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]).fetchall()
    return {key.decode(): value.decode() for key, value in rows}


def by_pyarrow(path: Path) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in parquet.read_metadata(path).metadata.items()}


def by_polars(path: Path) -> dict[str, str]:
    return {key: value for key, value in pl.read_parquet_metadata(path).items() if key != "ARROW:schema"}


@pytest.mark.parametrize("read", [by_duckdb, by_pyarrow, by_polars])
def test_a_parquet_file_tells_its_schema_and_where_it_came_from(lake: LakeOnDisk, read: Any) -> None:
    command = lake.stage(records(3))
    lake.import_staged(command)
    assert read(the_file(lake)) == expected(command)


def test_a_file_that_recovery_writes_again_tells_the_same(lake: LakeOnDisk) -> None:
    command = lake.stage(records(3))
    lake.import_staged(command)
    the_file(lake).write_bytes(b"the old file")
    with lake.lake.writing() as connection:
        connection.execute("UPDATE partitions SET published = false")
    asyncio.run(finish_committed(cast("Bus", SilentBus()), lake.lake))
    assert by_duckdb(the_file(lake)) == expected(command)


def test_the_same_source_gives_the_same_bytes(lake: LakeOnDisk, tmp_path: Path) -> None:
    lake.import_staged(lake.stage(records(3)))
    other = LakeOnDisk(tmp_path / "other")
    other.import_staged(other.stage(records(3)))
    assert the_file(other).read_bytes() == the_file(lake).read_bytes()
    other.close()
