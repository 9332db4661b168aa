"""Days of state and orderflow through the whole system, posted like days of the classic package."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow.parquet as pq
import pytest

from shared.bus import subjects
from simulator.generator import Day
from simulator.other_packages import GreekDay, OrderflowDay, StateGexDay
from tests.support.files.oracle_orderflow import orderflow
from tests.support.files.oracle_state import Row, readable, state_contracts, state_greeks, state_strikes
from tests.support.repository import ROOT
from tests.support.system.running import System, connection_to, running_system

Oracle = Callable[[bytes], list[Row]]

GREEKS: Final = GreekDay(ticker="ES_SPX", endpoint="state_gamma_zero", snapshots=20, strikes=5)
FLOW: Final = OrderflowDay(ticker="ES_SPX", snapshots=20)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("other_packages")) as system:
        yield system


async def gexlake_sql(system: System, query: str) -> list[Row]:
    """Return the rows that the command line shows."""
    shown = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "gexlake.cli", "sql", "--format", "json", query],
        env={"GEXLAKE_URL": system.stack.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return [readable(row) for row in json.loads(shown.stdout)]


@pytest.mark.parametrize(
    ("day", "kind", "tables"),
    [
        (
            GREEKS,
            "state_contracts",
            {
                "state_greeks": lambda data: state_greeks(data, GREEKS.endpoint),
                "state_contracts": lambda data: state_contracts(data, GREEKS.endpoint),
            },
        ),
        (
            StateGexDay(ticker="ES_SPX", snapshots=20, strikes=5),
            "state_strikes",
            {"state_strikes": lambda data: state_strikes(data, "state_gex_zero")},
        ),
        (FLOW, "orderflow", {"orderflow": orderflow}),
    ],
    ids=["state greeks", "state gex", "orderflow"],
)
async def test_a_day_posted_as_gex_zero_lands_where_its_name_says(
    system: System, day: Day, kind: str, tables: dict[str, Oracle]
) -> None:
    system.offer(day)
    data = (system.folder / day.file_name).read_bytes()
    job = await system.import_day(day, type="gex_zero")
    assert (job["state"], job["endpoint"]) == ("completed", day.endpoint)
    assert (job["snapshots"], job["strike_rows"]) == (day.snapshots, day.strike_rows)
    assert job["parquet_path"] == f"ES_SPX/{day.endpoint}/20251114.{kind}.parquet"
    for name, expected in tables.items():
        rows = await gexlake_sql(system, f"FROM {name}")
        held = [{key: row[key] for key in row if key not in {"source", "job_id"}} for row in rows]
        assert sorted(held, key=_place) == expected(data), name
    *_, of_parquet = tables.values()
    path = system.stack.data_dir / "parquet" / "gexbot" / job["parquet_path"]
    assert [readable(row) for row in pq.ParquetFile(path).read().to_pylist()] == of_parquet(data)
    assert await system.sql("SELECT count(*) FROM gex_snapshots") == [[0]]


@pytest.mark.parametrize(
    ("day", "change", "error"),
    [
        (GREEKS, {"mini_contracts": [[5, 0.1]]}, "record 4: mini_contracts[0] has 2 elements, not 4 to 7"),
        (FLOW, {"zcvr": "high"}, "record 4: zcvr is 'high', not a number"),
    ],
    ids=["state greeks", "orderflow"],
)
async def test_a_bad_file_is_a_dead_letter_that_names_record_and_field(
    system: System, day: Day, change: dict[str, Any], error: str
) -> None:
    system.offer(day)
    await system.import_day(day)
    held = await system.sql(f"SELECT checksum FROM partitions WHERE endpoint = '{day.endpoint}'")
    records = list(day.records())
    records[3].update(change)
    system.offer(day, json.dumps(records).encode())
    failed = await system.import_day(day, query="sig=again")
    assert failed["state"] == "failed"
    assert error in failed["error"]
    async with connection_to(system.stack) as bus:
        letter = await bus.js.get_msg(subjects.DEAD, seq=failed["dead_letter_seq"])
    assert error in (letter.headers or {})["Gex-Reason"]
    assert await system.sql(f"SELECT checksum FROM partitions WHERE endpoint = '{day.endpoint}'") == held


def _place(row: Row) -> tuple[int, float]:
    return row["timestamp"], row.get("strike", 0)
