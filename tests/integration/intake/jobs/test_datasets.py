"""Jobs of another dataset than GEX are listed, changed, cancelled, requeued and ended like any other."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.intake.history.replay import KnownJob, Replay, ReplayOptions
from services.intake.history.request import HistoryRequest
from services.intake.priorities.facts import Origin
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, RowsPublished
from shared.bus.requests import Channel
from shared.massive.resources import FlatFile, MassiveUrls, MinuteBars, Resource, Snapshots
from tests.support.intake.running import (
    RunningIntake,
    messages_in,
    payload_at,
    recreate_stream,
    running_intake,
)
from tests.support.poll import eventually
from tests.support.values import url_of

MONTH = date(2025, 11, 1), date(2025, 11, 30)
BARS = MinuteBars("MTBpC", *MONTH)


def request_of(resource: Resource) -> HistoryRequest:
    return HistoryRequest(
        ticker=resource.ticker,
        endpoint=resource.endpoint,
        trading_day=None,
        base_url=MassiveUrls().base_url_of(resource),
        url=MassiveUrls().url_of(resource),
        origin=Origin(Channel.CHRONOX),
    )


async def shown(intake: RunningIntake, job_id: object, **wanted: Any) -> dict[str, Any]:
    """Return a job once it is as wanted."""

    async def is_so() -> bool:
        found = await intake.get(f"/jobs/{job_id}")
        return {name: found[name] for name in wanted} == wanted

    await eventually(is_so)
    found: dict[str, Any] = await intake.get(f"/jobs/{job_id}")
    return found


async def test_a_job_of_bars_lives_like_any_other(nats_url: str, bus: Bus) -> None:
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:
        accepted = await intake.context.commands.accept(request_of(BARS))
        job = accepted.job
        (listed,) = (await intake.get("/jobs?endpoint=ohlcv_1m&ticker=MTBpC"))["jobs"]
        assert (listed["id"], listed["url"]) == (str(job.job_id), job.base_url)
        assert (await intake.get("/api/v1/processing-jobs?symbol=MTBpC"))["total_count"] == 1

        route = f"/api/v1/ingest/priority/{job.request_id}"
        changed = await intake.http.patch(route, json={"priority_level": "critical", "reason": "desk waits"})
        assert changed.status_code == 200, changed.text
        await shown(intake, job.job_id, priority="critical", generation=2)
        assert (await intake.http.delete(route)).status_code == 200
        await shown(intake, job.job_id, state="cancelled")

        replayed = await intake.http.post(f"/jobs/{job.job_id}/replay")
        again = await payload_at(bus, subjects.JOBS, replayed.json()["command_seq"])
        await bus.publish_event(RowsPublished(job=again.job, counts={"bars": 8190}))
        ended = await shown(intake, job.job_id, state="completed")
        assert (ended["rows"], ended["counts"], ended["generation"]) == (8190, {"bars": 8190}, 3)
        (ended,) = (await intake.get("/api/v1/processing-jobs"))["jobs"]
        assert (ended["records_processed"], ended["market_symbol"]) == (8190, "MTBpC")


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(BARS, id="bars"),
        pytest.param(MinuteBars("BRK.B", *MONTH, adjusted=True), id="adjusted"),
        pytest.param(Snapshots(("AAPL",)), id="snapshot"),
        pytest.param(FlatFile(MONTH[0]), id="flat file"),
    ],
)
async def test_a_stranded_job_is_queued_again_with_its_whole_url(
    nats_url: str, bus: Bus, resource: Resource
) -> None:
    """The janitor asks for this when a job's command is gone from JOBS, with all others or alone."""
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:
        job = (await intake.context.commands.accept(request_of(resource))).job
        await recreate_stream(bus, subjects.JOBS)
        await intake.context.commands.replay(Replay(KnownJob(job.job_id), ReplayOptions()))
    assert await messages_in(bus, subjects.JOBS) == 1
    command = await payload_at(bus, subjects.JOBS, 1)
    assert isinstance(command, FetchFile)
    assert (command.job.generation, url_of(command)) == (2, MassiveUrls().url_of(resource))
