"""Bad requests, each with its exact status and a message fit for the person who sent it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from tests.support.intake.running import SIGNED_URL, RunningIntake, messages_in, running_intake

QUERY = "?sig=S3CRET-one"
NO_NAME = f"https://hist.gex.bot/day.json{QUERY}"


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5)
    async with running_intake(settings) as running:
        yield running


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("content", "status", "field", "words"),
    [
        pytest.param(b"url=https://x", 400, "body", "not JSON", id="not JSON"),
        pytest.param(b"[1, 2]", 400, "body", "it is a list", id="a list"),
        pytest.param(body(ticker="SPX"), 422, "url", "no field holds a URL", id="no URL"),
        pytest.param(body(url=f"ftp://hist.gex.bot/a.json{QUERY}"), 422, "url", "'ftp'", id="ftp"),
        pytest.param(
            body(url=f"https://example.test/a.json{QUERY}"),
            422,
            "url",
            "https://example.test is not allowed; it must start with https://hist.gex.bot/",
            id="another host",
        ),
        pytest.param(
            body(url=f"https://hist.gex.bot.evil.test/a.json{QUERY}"),
            422,
            "url",
            "https://hist.gex.bot.evil.test is not allowed",
            id="a host that begins like the allowed one",
        ),
        pytest.param(
            body(url=f"https://me:S3CRET@hist.gex.bot/a.json{QUERY}"), 422, "url", "userinfo", id="userinfo"
        ),
        pytest.param(
            body(url=NO_NAME, ticker="SPX"), 422, "endpoint", "send one of gex_zero", id="no endpoint"
        ),
        pytest.param(
            body(url=SIGNED_URL, endpoint=NO_NAME), 422, "endpoint", "?[redacted]", id="a URL as the endpoint"
        ),
        pytest.param(
            body(url=SIGNED_URL, ticker="../etc"), 422, "ticker", "'../etc' is not a ticker", id="dots"
        ),
        pytest.param(body(url=SIGNED_URL, ticker="N'Q"), 422, "ticker", "is not a ticker", id="a quote"),
        pytest.param(body(url=SIGNED_URL, ticker="X" * 300), 422, "ticker", "300 characters", id="too long"),
        pytest.param(
            body(url=SIGNED_URL, pad="x" * 2 * 1024 * 1024),
            413,
            "body",
            "1048576 bytes",
            id="a body of 2 MiB",
        ),
    ],
)
async def test_a_bad_body_is_refused(
    intake: RunningIntake, bus: Bus, content: bytes, status: int, field: str, words: str
) -> None:
    answer = await intake.http.post(
        "/gex_history_url", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"field", "rule", "message"}
    assert error["field"] == field
    assert field in error["message"]
    assert words in error["message"]
    assert "S3CRET" not in answer.text
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_a_wrong_content_type_is_refused(intake: RunningIntake) -> None:
    answer = await intake.http.post("/gex_history_url", data={"url": SIGNED_URL})
    assert answer.status_code == 415
    error = answer.json()["error"]
    assert (error["field"], error["rule"]) == ("content-type", "content_type")
    assert "application/x-www-form-urlencoded" in error["message"]
    assert "with curl add -H 'content-type: application/json'" in error["message"]


async def test_a_chunked_body_of_2_mib_is_refused_without_a_content_length(intake: RunningIntake) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b" " * 65536

    answer = await intake.http.post("/gex_history_url", content=chunks())
    assert "content-length" not in answer.request.headers
    assert (answer.status_code, answer.json()["error"]["field"]) == (413, "body")


async def test_too_many_requests_get_a_time_to_retry(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, rate_limit_history="2")
    async with running_intake(settings) as intake:
        answers = [await intake.post({"url": SIGNED_URL}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        refused = answers[-1]
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        error = refused.json()["error"]
        assert error["rule"] == "rate_limit"
        assert "2/minute" in error["message"]
        await intake.get("/health")
