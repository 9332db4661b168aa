"""``POST /uw``: its answers, and what it publishes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.intake.settings import IntakeSettings
from shared.bus.feeds.batch_publisher import MAX_MESSAGE_BYTES
from shared.bus.feeds.live_messages import LiveWebhook, Webhook, decode
from shared.errors import BrokerUnavailable, GexlakeError, StreamFull
from tests.support.intake.live_routes import LiveRoutes, live_routes
from tests.support.repository import GOLDEN
from tests.support.values import NOON

FRAME = (GOLDEN / "vendor" / "uw_option_trade_frame.json").read_bytes()
JSON_TYPE = {"content-type": "application/json"}


@pytest.fixture
async def routes() -> AsyncIterator[LiveRoutes]:
    async with live_routes() as routes:
        yield routes


async def post(routes: LiveRoutes, body: Any, **headers: str) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await routes.http.post("/uw", content=content, headers=JSON_TYPE | headers)
    return answer.status_code, answer.json()


def only_message(routes: LiveRoutes) -> tuple[str, LiveWebhook]:
    ((subject, data),) = routes.feed.published
    message = decode(subject, data)
    assert isinstance(message, LiveWebhook)
    return subject, message


async def test_a_real_trade_is_published_and_recognized(routes: LiveRoutes) -> None:
    status, answer = await post(routes, FRAME, **{"user-agent": "Mozilla/5.0" + "x" * 1000})
    assert (status, answer) == (
        200,
        {
            "status": "received",
            "topic": "option_trades_super_algo",
            "event": "new_msg",
            "recognized": "option_trade",
            "ticker": "ARM",
            "option_chain_id": "ARM260116C00118000",
        },
    )
    subject, message = only_message(routes)
    assert subject == "gex.feed.uw.option_trades_super_algo"
    assert message.occurred_at == NOON
    assert message.payload == Webhook(
        topic="option_trades_super_algo",
        event="new_msg",
        payload=json.loads(FRAME)[4]["data"],
        source_ip="192.0.2.7",
        user_agent="Mozilla/5.0" + "x" * 501,
    )


@pytest.mark.parametrize(
    ("body", "recognized", "ticker"),
    [
        (
            [None, None, "option_trades_super_algo:SPX", "new_msg", {"data": {"option_chain_id": "?"}}],
            "option_trade",
            None,
        ),
        (["market_agg_socket", {"date": "2026-01-07"}], "market_aggregate", None),
        ({"topic": "dark_pool_socket", "payload": {"price": "1.0"}}, None, None),
        ({"anything": "else"}, None, None),
    ],
)
async def test_every_payload_is_published_recognized_or_not(
    routes: LiveRoutes, body: Any, recognized: str | None, ticker: str | None
) -> None:
    status, answer = await post(routes, body)
    assert (status, answer["status"], answer["recognized"], answer["ticker"]) == (
        200,
        "received",
        recognized,
        ticker,
    )
    only_message(routes)


async def test_a_heartbeat_is_ignored_and_says_so(routes: LiveRoutes) -> None:
    reply = [None, "7", "phoenix", "phx_reply", {"status": "ok", "response": {}}]
    assert await post(routes, reply) == (
        200,
        {"status": "ignored", "reason": "heartbeat", "topic": "phoenix"},
    )
    assert routes.feed.published == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain;charset=UTF-8", 200), ("", 200), ("application/x-www-form-urlencoded", 415)],
)
async def test_json_comes_also_as_plain_text(routes: LiveRoutes, content_type: str, status: int) -> None:
    assert (await post(routes, FRAME, **{"content-type": content_type}))[0] == status


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"[1, 2, 3]", 422, "body"),
        ([None, None, "t", 5, {}], 422, "event"),
        (b" " * (512 * 1024 + 1), 413, "body"),
        # Small as it was posted, and too large as it would be published.
        (b'{"a": [' + b"9e15," * 80_000 + b"1]}", 413, "body"),
    ],
)
async def test_a_refusal_names_the_field_and_publishes_nothing(
    routes: LiveRoutes, body: Any, status: int, field: str
) -> None:
    assert MAX_MESSAGE_BYTES > 512 * 1024
    found, answer = await post(routes, body)
    assert (found, answer["error"]["field"]) == (status, field)
    assert routes.feed.published == []


@pytest.mark.parametrize("error", [BrokerUnavailable("publish to FEED"), StreamFull("FEED")])
async def test_what_the_broker_does_not_take_is_answered_with_503(
    routes: LiveRoutes, error: GexlakeError
) -> None:
    routes.feed.error = error
    assert (await post(routes, FRAME))[0] == 503


async def test_webhooks_have_a_rate_limit_of_their_own() -> None:
    async with live_routes(IntakeSettings(rate_limit_webhook="1/minute")) as routes:
        assert (await post(routes, FRAME))[0] == 200
        assert (await post(routes, FRAME))[0] == 429
        assert len(routes.feed.published) == 1


async def test_payloads_are_counted_by_kind_and_outcome(routes: LiveRoutes) -> None:
    for body in (FRAME, b"{}", b"{", b'[null, null, "phoenix", "heartbeat", {}]'):
        await post(routes, body)
    metrics = (await routes.http.get("/metrics")).text
    for kind, outcome in (
        ("option_trade", "accepted"),
        ("other", "accepted"),
        ("unknown", "json"),
        ("heartbeat", "ignored"),
    ):
        assert f'gexlake_live_payloads_total{{kind="{kind}",outcome="{outcome}",route="/uw"}} 1.0' in metrics
