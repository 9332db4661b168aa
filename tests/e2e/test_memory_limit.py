"""A file larger than the importer's memory is imported in full, without an out-of-memory kill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from shared.bus.connection import Bus
from simulator.generator import Day
from tests.support.files.large_day import LargeDay
from tests.support.system.compose import ComposeStack, local_url
from tests.support.system.oracle import query_lake

LIMIT_MB = 512
FILE_BYTES = 600_000_000
DAY = Day(ticker="NDX", endpoint="gex_full", day=date(2025, 11, 21), snapshots=3_600)
OF_THE_DAY = (
    f"ticker = '{DAY.ticker}' AND endpoint = '{DAY.endpoint}' AND timestamp >= {DAY.first_timestamp_s}000"
)


@pytest.fixture(scope="module")
def small_stack(stack: ComposeStack) -> Iterator[ComposeStack]:
    """The stack with an importer that has little memory."""
    stack.up(GEXLAKE_IMPORTER_MEMORY=f"{LIMIT_MB}m")
    yield stack
    stack.up()


async def test_a_600_mb_day_imports_in_a_container_of_512_mb(small_stack: ComposeStack) -> None:
    large = LargeDay(DAY, FILE_BYTES)
    file = small_stack.files / DAY.file_name
    snapshots = await asyncio.to_thread(large.write, file)
    assert small_stack.inspect("importer", "{{.HostConfig.Memory}}") == str(LIMIT_MB << 20)
    job = await small_stack.finished(await small_stack.post(local_url(DAY)), within_s=240)
    file.unlink()
    assert job["state"] == "completed", job
    assert (job["failures"], job["snapshots"]) == (0, snapshots)
    assert small_stack.inspect("importer", "{{.State.OOMKilled}} {{.RestartCount}}") == "false 0"
    async with small_stack.connected() as bus:
        await assert_holds(bus, large, snapshots)


def test_the_importer_derives_its_limit_from_the_container(small_stack: ComposeStack) -> None:
    look = "from services.importer.settings import ImporterSettings as s; print(s().memory.duckdb_mb)"
    assert small_stack.exec("importer", "python", "-c", look).strip() == str(LIMIT_MB // 2)


async def assert_holds(bus: Bus, large: LargeDay, snapshots: int) -> None:
    """Check the count and the sums of all rows, and some records in full; prices and gamma in hundredths."""
    spots = large.total(lambda record: round(100 * record["spot"]), snapshots)
    gamma = large.total(lambda record: sum(round(100 * row[1]) for row in record["strikes"]), snapshots)
    first_ms, last_ms = (round(1000 * large.record(n)["timestamp"]) for n in (0, snapshots - 1))
    rows = "count(*), count(DISTINCT timestamp), min(timestamp), max(timestamp)"
    query = f"SELECT {rows}, sum(round(100 * spot_price)::BIGINT) FROM gex_snapshots WHERE {OF_THE_DAY}"
    assert await query_lake(bus, query) == [[snapshots, snapshots, first_ms, last_ms, spots]]
    for table in ("gex_strikes", "parquet_gex_strikes"):
        query = f"SELECT {rows}, sum(round(100 * gamma)::BIGINT) FROM {table} WHERE {OF_THE_DAY}"
        strikes = [snapshots * DAY.strikes, snapshots, first_ms, last_ms, gamma]
        assert await query_lake(bus, query) == [strikes], table
        for number in (0, snapshots // 2 + 1, snapshots - 1):
            await assert_holds_record(bus, table, large.record(number))


async def assert_holds_record(bus: Bus, table: str, record: dict[str, Any]) -> None:
    """Check the strike rows of a record, value by value and in their order."""
    where = f"{OF_THE_DAY} AND timestamp = {round(1000 * record['timestamp'])}"
    found = await query_lake(bus, f"SELECT strike, gamma, oi_gamma, priors FROM {table} WHERE {where}")
    assert [[*row[:3], json.loads(row[3])] for row in found] == record["strikes"], table
