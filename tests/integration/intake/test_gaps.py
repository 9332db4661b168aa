"""Gaps of minute bars from detection to end, with intake and the importer on a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gexlake.api.chronox.runs import DETECT_GAPS, DetectGaps
from gexlake.api.jobs import Stage
from gexlake.api.rpc import call
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import bar_messages
from shared.bus.messages import FetchFile, JobFailed
from shared.bus.reports.presence import announce_service
from shared.massive.bars import BarSource
from tests.support.importer.bars import a_bar, bars
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.intake.running import RunningIntake, messages_in, payload_at, running_intake
from tests.support.poll import eventually

GAPS, DETECT, AAPL = "/api/v1/gaps", "/api/v1/gaps/detect", "/api/v1/symbols/AAPL"
DAY = date(2025, 11, 14)
RANGE = {"first": "2025-11-14", "last": "2025-11-17"}
"""A Friday and a Monday."""


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    settings = IntakeSettings(nats_url=nats_url, bars_max_fills_a_day=1)
    async with running_intake(settings) as running:
        await eventually(lambda: running.context.symbols.is_read)
        for symbol in ("AAPL", "MSFT"):
            body = {"symbol": symbol, "strategy": "flatpack"}
            assert (await running.http.post("/api/v1/symbols", json=body)).status_code == 201
        yield running


async def post(bus: Bus, *missing: int, **changes: Any) -> None:
    """Publish the bars of both sessions of AAPL but some, or an answer for days."""
    every = (*range(390), *range(3 * 1440, 3 * 1440 + 390))
    content = () if "complete" in changes else (a_bar(minute) for minute in every if minute not in missing)
    message = bars(*content, source=BarSource.REST, **changes)
    await bus.publish(message.subject, bar_messages.encode(message), subjects.CHRONOX, message.id)


async def queued(bus: Bus) -> FetchFile:
    """Return the last command."""
    last = (await bus.js.stream_info(subjects.JOBS)).state.last_seq
    command = await payload_at(bus, subjects.JOBS, last)
    assert isinstance(command, FetchFile)
    return command


async def detect(intake: RunningIntake, **body: Any) -> Any:
    answer = await intake.http.post(DETECT, json={**RANGE, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_gaps_are_found_filled_within_the_limit_and_ended(
    bus: Bus, intake: RunningIntake, tmp_path: Path
) -> None:
    lake = LakeOnDisk(tmp_path)
    assert (await intake.get(AAPL))["coverage"] is None
    await intake.get(GAPS, 503)
    async with importing(bus, lake):
        await post(bus, 10, 11, 390 - 1)
        await eventually(lambda: lake.rows("SELECT count(*) FROM ohlcv_1m") == [(777,)])
        found = await detect(intake)
        counts = ("symbols", "sessions", "detected", "open", "missing_minutes", "fills_queued", "fills_left")
        assert [found[name] for name in counts] == [2, 2, 4, 4, 783, 1, 1]
        assert await messages_in(bus, subjects.JOBS) == 1
        command = await queued(bus)
        assert command.job.base_url.endswith("/v2/aggs/ticker/AAPL/range/1/minute/2025-11-14/2025-11-14")
        assert (command.job.endpoint, command.job.priority) == ("ohlcv_1m", "low")
        assert command.request is not None
        assert (command.request.channel, command.request.metadata) == ("chronox", {"purpose": "gap"})
        # The limit of the day is used up, and counted from the jobs.
        assert (await detect(intake, symbols=["MSFT"]))["fills_queued"] == 0
        symbol = await intake.get(AAPL)
        assert symbol["coverage"] == {
            "bars": 777,
            "first_bar": "2025-11-14T14:30:00Z",
            "last_bar": "2025-11-17T20:59:00Z",
            "complete_days": 0,
            "open_gaps": 2,
            "missing_minutes": 3,
        }
        await post(bus, complete=(DAY, DAY), at=datetime.now(UTC))
        await eventually(lambda: lake.rows("SELECT count(*) FROM complete_bar_days") == [(1,)])
        answer = await call(bus.client, DETECT_GAPS, DetectGaps(symbols=("AAPL",), first=DAY, last=DAY), 20.0)
        assert (answer.resolved, answer.sessions) == (2, 1)
        gaps = await intake.get(f"{GAPS}?symbol=AAPL&status=no_trades&limit=1")
        assert (gaps["total_count"], gaps["truncated"]) == (2, True)
        assert gaps["gaps"][0]["start"] == "2025-11-14T14:40:00+00:00"
        metrics = (await intake.http.get("/metrics")).text
        assert 'gexlake_bar_gaps{status="no_trades"} 2.0' in metrics
        assert "gexlake_bar_missing_minutes 780.0" in metrics
        assert "gexlake_chronox_pending 0.0" in metrics


async def test_without_a_key_gaps_are_found_and_none_is_asked_for(
    bus: Bus, intake: RunningIntake, tmp_path: Path
) -> None:
    lake = LakeOnDisk(tmp_path)
    async with importing(bus, lake), announce_service(bus, "fetcher", "no key", has_massive_key=False):
        await post(bus, 10)
        await eventually(lambda: lake.rows("SELECT count(*) FROM ohlcv_1m") == [(779,)])
        await eventually(intake.context.projection.heartbeats)
        found = await detect(intake, symbols=["AAPL"])
    assert (found["open"], found["fills_queued"]) == (1, 0)
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_a_refused_fill_is_not_asked_for_again(bus: Bus, intake: RunningIntake, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    async with importing(bus, lake):
        await post(bus, 10)
        await eventually(lambda: lake.rows("SELECT count(*) FROM ohlcv_1m") == [(779,)])
        assert (await detect(intake, symbols=["AAPL"]))["fills_queued"] == 1
        command = await queued(bus)
        failed = JobFailed(
            job=command.job, stage=Stage.FETCH, failures=1, final=True, error="HTTP 403", refused=True
        )
        await bus.publish_event(failed)

        async def marked() -> Any:
            return (await intake.get(f"{GAPS}?status=unfillable"))["gaps"]

        (gap,) = await eventually(marked)
        assert (gap["reason"], gap["attempts"]) == ("HTTP 403", 1)
        assert (await detect(intake, fill=False))["open"] == 2  # those of MSFT


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"symbols": ["NEW"]}, 404, "symbol"),
        ({"first": "1990-01-01"}, 422, "first"),
        ({"first": 5}, 422, "first"),
    ],
)
async def test_a_detection_that_cannot_be_done_is_refused(
    intake: RunningIntake, body: dict[str, Any], status: int, field: str
) -> None:
    answer = await intake.http.post(DETECT, json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
