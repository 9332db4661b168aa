"""Replays for stream readers alone: marked, without ids, and seen by no reader of live snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from httpx_sse import ServerSentEvent

from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from tests.support.intake.live import a_message, publish_live, read, stream_of
from tests.support.intake.running import RunningIntake, messages_in, running_intake
from tests.support.poll import eventually

REPLAY: Final = "/gex?stream_only=true"
RECORD: Final[dict[str, Any]] = {
    "timestamp": 1_763_132_400,
    "ticker": "SPX",
    "spot": 6734.5,
    "zero_gamma": 6712.5,
}


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as running:
        await eventually(lambda: running.context.hub.is_caught_up)
        yield running


async def replay(intake: RunningIntake, **changes: Any) -> dict[str, Any]:
    answer = await intake.http.post(REPLAY, json={**RECORD, **changes})
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


async def next_event(events: AsyncIterator[ServerSentEvent]) -> ServerSentEvent:
    return await asyncio.wait_for(anext(events), 10)


async def test_a_replay_reaches_those_that_ask_for_it_and_is_marked(bus: Bus, intake: RunningIntake) -> None:
    async with stream_of(intake.http, "replay=true&ticker=SPX") as replays, stream_of(intake.http) as live:
        await replay(intake, ticker="NDX")
        assert await replay(intake) == {"status": "success", "ticker": "SPX", "readers": 1}
        await replay(intake, kind="majors", major_pos_vol=6800)
        (live_place,) = await publish_live(bus, a_message(0))
        first, second = await next_event(replays), await next_event(replays)
        assert [(event.event, event.id) for event in (first, second)] == [("replay", "")] * 2
        data = first.json()
        assert (data["event"], data["spot_price"], "id" in data, "part" in data) == (
            "replay",
            6734.5,
            False,
            False,
        )
        assert (second.json()["part"], second.json()["major_pos_vol"]) == ("majors", 6800.0)
        # What the reader of live snapshots gets next is the one that was stored.
        assert [event["id"] for event in await read(live, 1)] == [live_place]
    assert await messages_in(bus, subjects.FEED) == 1
    assert intake.context.latest.get("NDX", "gex_zero") is None


async def test_a_replay_without_readers_is_accepted_and_says_so(bus: Bus, intake: RunningIntake) -> None:
    assert (await replay(intake))["readers"] == 0
    async with stream_of(intake.http, "replay=1") as replays:
        await replay(intake, spot=2)
        assert (await next_event(replays)).json()["spot_price"] == 2.0
    await eventually(lambda: intake.context.replays.count == 0)
    assert await messages_in(bus, subjects.FEED) == 0


@pytest.mark.parametrize("query", ["stream_only=false", "stream_only=0", "other=1"])
async def test_without_the_flag_a_snapshot_is_stored(bus: Bus, intake: RunningIntake, query: str) -> None:
    answer = await intake.http.post(f"/gex?{query}", json=RECORD)
    assert answer.json() == {"status": "success", "ticker": "SPX"}
    assert await messages_in(bus, subjects.FEED) == 1


async def test_an_unclear_flag_is_refused_and_stores_nothing(bus: Bus, intake: RunningIntake) -> None:
    answer = await intake.http.post("/gex?stream_only=perhaps", json=RECORD)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "stream_only")
    assert await messages_in(bus, subjects.FEED) == 0


async def test_a_replay_is_checked_as_a_live_snapshot_is(intake: RunningIntake) -> None:
    answer = await intake.http.post(REPLAY, json={**RECORD, "spot": "NaN"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "spot")


async def test_only_so_many_readers_follow_replays(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, max_stream_readers=1)
    async with running_intake(settings) as intake, stream_of(intake.http, "replay=true"):
        await eventually(lambda: intake.context.replays.count == 1)
        assert (await intake.http.get("/gex/stream?replay=true")).status_code == 503
