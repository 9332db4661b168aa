"""``GET /gex/latest``: from memory, else from the lake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gexlake.api import services
from gexlake.api.lake import SqlRequest, SqlResponse
from gexlake.api.rpc import Refused, serve
from services.intake.settings import IntakeSettings
from shared.bus.connection import Bus
from shared.bus.feeds.live_messages import SnapshotPart
from shared.bus.reports.presence import announce_service
from tests.support.intake.live import START_MS, a_message, publish_live, strikes
from tests.support.intake.running import RunningIntake, running_intake
from tests.support.poll import eventually

SNAPSHOTS = {
    "timestamp": START_MS,
    "ticker": "SPX",
    "endpoint": "gex_one",
    "spot_price": 6000.5,
    "zero_gamma": None,
    "max_priors": "[[6000, 1.5]]",
    "source": "history",
    "job_id": "0a070f0c-f52a-566a-954e-0bb50a310049",
}
STRIKES = {"strike": 6000.0, "gamma": 1.5, "oi_gamma": None, "priors": "[1, 2.5]"}


def table(*rows: dict[str, Any]) -> SqlResponse:
    columns = [{"name": name, "type": "VARCHAR"} for name in (rows or (STRIKES,))[0]]
    values = [list(row.values()) for row in rows]
    return SqlResponse.model_validate(
        {"columns": columns, "rows": values, "truncated": False, "seconds": 0.1}
    )


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as intake:
        await eventually(lambda: intake.context.hub.is_caught_up)
        yield intake


@asynccontextmanager
async def lake_with(bus: Bus, *rows: dict[str, Any]) -> AsyncIterator[list[str]]:
    """Be an importer whose lake has these snapshots; yields the queries."""
    asked: list[str] = []

    async def sql(request: SqlRequest) -> SqlResponse:
        asked.append(request.query)
        return table(STRIKES) if "gex_strikes" in request.query else table(*rows)

    async with announce_service(bus, "importer", "stands in") as service:
        await serve(service, services.SQL, sql, refusal=lambda error: Refused(500, str(error)))
        await bus.client.flush()
        yield asked


async def test_it_is_the_newest_snapshot_with_its_later_parts(bus: Bus, intake: RunningIntake) -> None:
    part: dict[str, Any] = {"part": SnapshotPart.MAJORS, "spot_price": None, "zero_gamma": None}
    *_, last = await publish_live(
        bus,
        a_message(0, strikes=strikes(5)),
        a_message(1, strikes=strikes(2)),
        a_message(9, "NDX"),
        a_message(1, major_pos_vol=6050.0, **part),
    )
    await eventually(lambda: intake.context.hub.ring.last_sequence == last)
    answer = await intake.get("/gex/latest?ticker=spx")
    assert (answer["id"], answer["event"], answer["timestamp"]) == (last, "snapshot", START_MS + 1000)
    assert (answer["spot_price"], answer["major_pos_vol"], len(answer["strikes"])) == (6001.0, 6050.0, 2)


async def test_what_intake_does_not_know_comes_from_the_lake(bus: Bus, intake: RunningIntake) -> None:
    async with lake_with(bus, SNAPSHOTS) as asked:
        assert await intake.get("/gex/latest?ticker=SPX&endpoint=one") == {
            "event": "snapshot",
            "timestamp": START_MS,
            "ticker": "SPX",
            "endpoint": "gex_one",
            "spot_price": 6000.5,
            "max_priors": [[6000, 1.5]],
            "strikes": [[6000.0, 1.5, None, [1, 2.5]]],
        }
    assert all("ticker = 'SPX' AND endpoint = 'gex_one'" in query for query in asked)


async def test_a_part_that_came_alone_is_no_more_than_the_lake_has(bus: Bus, intake: RunningIntake) -> None:
    await publish_live(bus, a_message(5, endpoint="gex_one", spot_price=None, part=SnapshotPart.MAJORS))
    await eventually(lambda: intake.context.hub.ring.last_sequence == 1)
    path = "/gex/latest?ticker=SPX&endpoint=gex_one"
    async with lake_with(bus, SNAPSHOTS):
        assert (await intake.get(path))["spot_price"] == 6000.5
    async with lake_with(bus):
        assert (await intake.get(path))["id"] == 1
    assert (await intake.get(path))["id"] == 1  # without an importer, too


async def test_what_nobody_knows_is_said(bus: Bus, intake: RunningIntake) -> None:
    async with lake_with(bus):
        answer = await intake.get("/gex/latest?ticker=SPX", 404)
    assert "no snapshot of SPX gex_zero" in answer["error"]["message"]
    assert (await intake.get("/gex/latest?ticker=SPX", 503))["error"]["rule"] == "importer"
    assert (await intake.get("/gex/latest", 422))["error"]["field"] == "ticker"
    assert (await intake.get("/gex/latest?ticker=SPX&endpoint=vanna", 422))["error"]["field"] == "endpoint"
