"""A snapshot of an option chain: posted, in the tables, read by SQL, in its Parquet file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from nats.errors import Error as NatsError

from services.intake.settings import IntakeSettings
from shared.bus.connection import Bus
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.intake.running import running_intake
from tests.support.poll import eventually

STRIKES = [{"strike_price": 6730, "call_open_interest": 10, "put_open_interest": 20, "gamma": 0.25}]
BODY = {
    "market_symbol": "SPX",
    "snapshot_date": "2025-11-14",
    "snapshot_time": "10:30:00",
    "strikes": STRIKES,
}
QUERY = "SELECT snapshot_id, total_open_interest, strike_price, gamma FROM option_chains ORDER BY ALL"


async def ask(bus: Bus, endpoint: str, **request: Any) -> Any:
    try:
        reply = await bus.client.request(f"gex.svc.lake.{endpoint}", json.dumps(request).encode(), timeout=10)
    except NatsError:
        return {}  # it is starting
    return json.loads(reply.data)


@pytest.mark.slow
async def test_a_posted_chain_is_stored_once_read_and_exported(
    bus: Bus, nats_url: str, tmp_path: Path
) -> None:
    lake = LakeOnDisk(tmp_path / "data", live_export_s=0.2)
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake, importing(bus, lake):
        answers = [await intake.http.post("/api/v1/snapshots", json=BODY) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        (snapshot_id,) = {answer.json()["snapshot_id"] for answer in answers}
        expected = (snapshot_id, 30, 6730.0, 0.25)

        async def is_read() -> bool:
            return bool((await ask(bus, "sql", query=QUERY)).get("rows") == [list(expected)])

        assert await eventually(is_read)
        file = lake.settings.paths.chains_root / "SPX" / "20251114" / "snapshots.parquet"
        assert await eventually(file.exists)
        columns = "snapshot_id, total_open_interest, strike_price, gamma"
        assert duckdb.read_parquet(str(file)).select(columns).fetchall() == [expected]
        assert await ask(bus, "verify") == {"checked": 1, "differences": [], "truncated": False}
