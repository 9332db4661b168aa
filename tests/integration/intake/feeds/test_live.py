"""Live snapshots over HTTP: on the broker's disk before the answer, once, or refused by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from nats.js.api import RawStreamMsg

from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import live_messages
from shared.bus.feeds.live_messages import LiveMessage, Snapshot, SnapshotPart, Strike
from simulator.nats_server import NatsServer, free_port
from tests.support.intake.running import RunningIntake, messages_in, running_intake
from tests.support.poll import eventually

RECORD: Final[dict[str, Any]] = {
    "timestamp": 1_763_132_400,
    "ticker": "SPX",
    "spot": 6734.5,
    "zero_gamma": 6712.5,
    "strikes": [[6730, -228.25, -86.5, [-240.5, 0]]],
}
SNAPSHOT: Final = Snapshot(
    ticker="SPX",
    endpoint="gex_zero",
    timestamp=1_763_132_400_000,
    spot_price=6734.5,
    zero_gamma=6712.5,
    strikes=[Strike(6730.0, -228.25, -86.5, [-240.5, 0])],
)
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture
def intake_settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url, ack_wait_s=5)


@pytest.fixture
async def intake(intake_settings: IntakeSettings) -> AsyncIterator[RunningIntake]:
    async with running_intake(intake_settings) as running:
        yield running


async def last_message(bus: Bus) -> LiveMessage:
    message: RawStreamMsg = await bus.js.get_last_msg(subjects.FEED, subjects.live_snapshot("SPX"))
    return live_messages.decode(message.subject or "", message.data or b"")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", None])
async def test_a_snapshot_is_on_the_stream_when_it_is_answered(
    intake: RunningIntake, bus: Bus, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await intake.http.post("/gex", content=json.dumps(RECORD), headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"status": "success", "ticker": "SPX"})
    assert (await last_message(bus)).payload == SNAPSHOT


async def test_a_retry_is_stored_once_and_a_part_beside_it(intake: RunningIntake, bus: Bus) -> None:
    for body in (RECORD, RECORD, {**RECORD, "timestamp": "1763132400000"}, json.dumps(RECORD)):
        assert (await intake.http.post("/gex", json=body)).status_code == 200
    assert await messages_in(bus, subjects.FEED) == 1
    data = {"timestamp": 1_763_132_400, "mpos_vol": "6750"}
    await intake.http.post("/gex", json={"ticker": "spx", "kind": "majors", "data": data})
    assert await messages_in(bus, subjects.FEED) == 2
    part = Snapshot("SPX", "gex_zero", SNAPSHOT.timestamp, SnapshotPart.MAJORS, major_pos_vol=6750.0)
    assert (await last_message(bus)).payload == part


async def test_concurrent_posts_are_all_stored(intake: RunningIntake, bus: Bus) -> None:
    bodies = [{**RECORD, "spot": number} for number in range(40)]
    answers = await asyncio.gather(*(intake.http.post("/gex", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert await messages_in(bus, subjects.FEED) == 40


@pytest.mark.parametrize(
    ("content", "headers", "status", "field"),
    [
        pytest.param(b"{", JSON, 400, "body", id="not JSON"),
        pytest.param(b"[1]", JSON, 400, "body", id="a list"),
        pytest.param(b'{"ticker": "SPX"}', JSON, 422, "timestamp", id="a missing field"),
        pytest.param(json.dumps({**RECORD, "spot": "NaN"}), JSON, 422, "spot", id="an unusable field"),
        pytest.param(b" " * 600_000, JSON, 413, "body", id="too large"),
        pytest.param(b"a=1", {"Content-Type": "text/html"}, 415, "content-type", id="HTML"),
    ],
)
async def test_a_bad_body_is_refused_and_nothing_is_stored(
    intake: RunningIntake, bus: Bus, content: Any, headers: dict[str, str], status: int, field: str
) -> None:
    answer = await intake.http.post("/gex", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["field"] == field
    assert await messages_in(bus, subjects.FEED) == 0
    counted = f'gexlake_live_payloads_total{{kind="unknown",outcome="{error["rule"]}",route="/gex"}} 1.0'
    assert counted in (await intake.http.get("/metrics")).text


async def test_the_limit_of_a_body_is_a_setting(nats_url: str) -> None:
    async with running_intake(IntakeSettings(nats_url=nats_url, max_live_bytes=1024)) as intake:
        padded = {**RECORD, "page": "x" * 1024}
        assert (await intake.http.post("/gex", json=padded)).status_code == 413
        assert (await intake.http.post("/gex", json=RECORD)).status_code == 200


async def test_keys_and_the_rate_limit_hold(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, api_keys=("one", "two"), rate_limit_gex="1/minute")
    async with running_intake(settings) as intake:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer three"}, 401),
            ({"Authorization": "Basic one"}, 401),
            ({"Authorization": "Bearer one"}, 200),
            ({"Authorization": "bearer one"}, 429),
            ({"X-API-Key": "two"}, 200),
        ):
            answer = await intake.http.post("/gex", json=RECORD, headers=headers)
            assert answer.status_code == status, headers
            assert ("Retry-After" in answer.headers) is (status == 429)


async def test_a_listed_origin_may_post_after_asking(nats_url: str) -> None:
    origin = {"Origin": "https://gexbot.test"}
    settings = IntakeSettings(nats_url=nats_url, cors_origins=("https://gexbot.test",))
    async with running_intake(settings) as intake:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = await intake.http.options("/gex", headers={**origin, **asked})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin["Origin"])
        answer = await intake.http.post("/gex", json=RECORD, headers=origin)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin["Origin"])
        foreign = {"Origin": "https://evil.test"}
        assert (await intake.http.post("/gex", json=RECORD, headers=foreign)).status_code == 403


async def unavailable_in_time(intake: RunningIntake) -> bool:
    async with asyncio.timeout(5):  # on a busy machine
        answer = await intake.http.post("/gex", json=RECORD)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    return True


async def accepted(intake: RunningIntake) -> bool:
    answer = await intake.http.post("/gex", json=RECORD)
    assert answer.status_code in {200, 503}
    return answer.status_code == 200


async def test_no_broker_is_503_in_time() -> None:
    settings = IntakeSettings(nats_url=f"nats://127.0.0.1:{free_port()}")
    async with running_intake(settings, rebuilt=False) as intake:
        assert await unavailable_in_time(intake)


async def test_a_broker_that_hangs_or_dies_is_503_and_a_retry_is_stored_once(
    nats_server: NatsServer, bus: Bus, intake: RunningIntake
) -> None:
    with nats_server.frozen():
        assert await unavailable_in_time(intake)
    assert await eventually(lambda: accepted(intake))
    nats_server.kill()
    assert await unavailable_in_time(intake)
    nats_server.start()
    assert await eventually(lambda: accepted(intake))
    await eventually(lambda: bus.is_connected)
    assert await messages_in(bus, subjects.FEED) == 1


async def test_a_full_stream_is_503_with_a_longer_pause(intake: RunningIntake, bus: Bus) -> None:
    config = (await bus.js.stream_info(subjects.FEED)).config
    await bus.js.update_stream(config.evolve(max_bytes=1))
    answer = await intake.http.post("/gex", json=RECORD)
    assert answer.status_code == 503
    assert (answer.json()["error"]["rule"], answer.headers["Retry-After"]) == ("stream_full", "60")
