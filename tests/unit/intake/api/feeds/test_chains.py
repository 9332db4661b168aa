"""``POST /api/v1/snapshots``: its answers, and what it publishes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.intake.settings import IntakeSettings
from shared.bus.feeds.chain_messages import LiveChain
from shared.bus.feeds.live_messages import decode
from shared.errors import BrokerUnavailable, GexlakeError, StreamFull
from tests.support.intake.live_routes import LiveRoutes, live_routes
from tests.support.values import NOON

STRIKE = {"strike_price": 6730, "call_open_interest": 10, "put_open_interest": 20, "call_volume": 3}
BODY = {
    "snapshot_id": "0b8f7a52-51a8-4c2e-9d1e-6a3f52f7a001",
    "market_symbol": "^SPX",
    "snapshot_date": "2025-11-14",
    "snapshot_time": "17:00:00Z",
    "strikes": [STRIKE],
}


@pytest.fixture
async def routes() -> AsyncIterator[LiveRoutes]:
    async with live_routes() as routes:
        yield routes


async def post(routes: LiveRoutes, body: Any = BODY, **headers: str) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    types = {"content-type": "application/json"}
    answer = await routes.http.post("/api/v1/snapshots", content=content, headers=types | headers)
    return answer.status_code, answer.json()


async def test_a_chain_is_published_and_answered_with_its_figures(routes: LiveRoutes) -> None:
    assert await post(routes) == (
        202,
        {
            "snapshot_id": BODY["snapshot_id"],
            "job_id": None,
            "market_symbol": "^SPX",
            "snapshot_date": "2025-11-14",
            "snapshot_time": "12:00:00",
            "timestamp": int(NOON.timestamp()) * 1000,
            "strikes": 1,
            "total_open_interest": 30,
            "total_volume": 3,
            "processed_at": "2025-11-14T17:00:00Z",
            "data_quality_score": 0.64,
        },
    )
    ((subject, data),) = routes.feed.published
    message = decode(subject, data)
    assert isinstance(message, LiveChain)
    assert (subject, message.occurred_at) == ("gex.feed.chain.-5ESPX", NOON)
    assert (str(message.payload.snapshot_id), message.payload.data_quality_score) == (
        BODY["snapshot_id"],
        0.64,
    )


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (BODY | {"strikes": [STRIKE, STRIKE | {"call_bid": -1}]}, 422, "strikes[1].call_bid"),
        (b" " * (512 * 1024 + 1), 413, "body"),
    ],
)
async def test_a_refusal_names_the_field_and_publishes_nothing(
    routes: LiveRoutes, body: Any, status: int, field: str
) -> None:
    found, answer = await post(routes, body)
    assert (found, answer["error"]["field"]) == (status, field)
    assert routes.feed.published == []


async def test_another_content_type_is_refused(routes: LiveRoutes) -> None:
    assert (await post(routes, **{"content-type": "text/csv"}))[0] == 415


@pytest.mark.parametrize("error", [BrokerUnavailable("publish to FEED"), StreamFull("FEED")])
async def test_what_the_broker_does_not_take_is_answered_with_503(
    routes: LiveRoutes, error: GexlakeError
) -> None:
    routes.feed.error = error
    assert (await post(routes))[0] == 503


async def test_chains_share_the_rate_limit_of_live_snapshots() -> None:
    async with live_routes(IntakeSettings(rate_limit_gex="1/minute")) as routes:
        assert (await post(routes))[0] == 202
        assert (await post(routes))[0] == 429
        assert (await routes.http.post("/gex", content=b"{}")).status_code == 429


async def test_keys_are_required_if_they_are_set() -> None:
    async with live_routes(IntakeSettings(api_keys=("k",))) as routes:
        assert (await post(routes))[0] == 401
        assert (await post(routes, **{"x-api-key": "k"}))[0] == 202


async def test_chains_are_counted_by_outcome(routes: LiveRoutes) -> None:
    for body in (BODY, b"{", BODY | {"strikes": []}):
        await post(routes, body)
    metrics = (await routes.http.get("/metrics")).text
    for outcome in ("accepted", "json", "length"):
        labels = f'kind="chain",outcome="{outcome}",route="/api/v1/snapshots"'
        assert f"gexlake_live_payloads_total{{{labels}}} 1.0" in metrics
