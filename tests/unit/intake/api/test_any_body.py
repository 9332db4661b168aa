"""Any bytes and any JSON at the live routes: refused with a reason, or published so that it can be stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.importer.feeds.messages import decoded
from services.importer.feeds.webhooks.tables import rows_of
from shared.bus.feeds.chain_messages import LiveChain
from shared.bus.feeds.live_messages import LiveSnapshot, LiveWebhook
from tests.support.examples import examples
from tests.support.intake.live_routes import LiveRoutes, live_routes
from tests.support.repository import GOLDEN

SNAPSHOT = json.loads((GOLDEN / "vendor" / "classic_gex_zero_snapshot.json").read_bytes())
FRAME = json.loads((GOLDEN / "vendor" / "uw_option_trade_frame.json").read_bytes())
ENVELOPE = {
    "ticker": "SPX",
    "kind": "majors",
    "endpoint": "gex_one",
    "received_at": 1763132400,
    "data": SNAPSHOT,
}
WEBHOOK = {
    "topic": "market_agg_socket",
    "event": "new_msg",
    "payload": {"date": "2026-01-07", "call_volume": 1},
}
CHAIN = {
    "snapshot_id": "0b8f7a52-51a8-4c2e-9d1e-6a3f52f7a001",
    "market_symbol": "SPX",
    "snapshot_date": "2025-11-14",
    "snapshot_time": "10:30:00",
    "total_volume": 3,
    "strikes": [
        {
            "strike_price": 6730,
            "call_open_interest": 10,
            "put_open_interest": 20,
            "call_volume": 3,
            "call_bid": 0.5,
        }
    ],
}
PAYLOADS = [SNAPSHOT, ENVELOPE, FRAME, WEBHOOK, CHAIN]
MESSAGES = {"/gex": LiveSnapshot, "/uw": LiveWebhook, "/api/v1/snapshots": LiveChain}
REFUSALS = {400, 413, 415, 422}

odd_text = st.sampled_from(
    ["", " ", "NaN", "-Infinity", "1e999", "0x1", "\0", "\ud800", "9" * 400, "2026-02-30", "٣", "{}", "[1]"]
)
odd_numbers = st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf")])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | odd_text | odd_numbers,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=10,
)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """Return a valid payload in which one value, however deep, is another one."""
    payload = json.loads(json.dumps(draw(st.sampled_from(PAYLOADS))))
    holder, inner = payload, payload
    while isinstance(inner, dict | list) and inner and (inner is payload or draw(st.booleans())):
        holder, key = (
            inner,
            draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))),
        )
        inner = holder[key]
        place = holder, key
    place[0][place[1]] = draw(values)
    return payload


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return the bytes of a valid payload with a few cut out and others in their place."""
    body = json.dumps(draw(st.sampled_from(PAYLOADS))).encode()
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 8))
    return body[:start] + draw(st.binary(max_size=8)) + body[start + length :]


as_json = (values | changed()).map(lambda value: json.dumps(value).encode())
encoded_twice = as_json.map(lambda body: json.dumps(body.decode()).encode())
nested = st.integers(1, 3000).map(lambda depth: b'{"data":' + b"[" * depth + b"]" * depth + b"}")
bodies = st.binary(max_size=60) | as_json | damaged() | encoded_twice | nested


class Door:
    """Posts to the live routes of one application."""

    def __init__(self, runner: asyncio.Runner, routes: LiveRoutes) -> None:
        self._runner, self._routes = runner, routes

    def post(
        self, route: str, body: bytes, content_type: str
    ) -> tuple[httpx.Response, list[tuple[str, bytes]]]:
        """Return the answer to a body, and what was published before it came."""
        self._routes.feed.published.clear()
        headers = {"content-type": content_type}
        answer = self._runner.run(self._routes.http.post(route, content=body, headers=headers))
        return answer, self._routes.feed.published


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    application = live_routes()
    with asyncio.Runner() as runner:
        yield Door(runner, runner.run(application.__aenter__()))
        runner.run(application.__aexit__(None, None, None))


@pytest.mark.parametrize("route", MESSAGES)
@settings(max_examples=examples(100), deadline=None)
@given(body=bodies, content_type=st.sampled_from(["application/json", "text/plain", "image/png"]))
def test_any_body_is_refused_or_can_be_stored(door: Door, route: str, body: bytes, content_type: str) -> None:
    answer, published = door.post(route, body, content_type)
    result = answer.json()
    if not answer.is_success:
        assert answer.status_code in REFUSALS
        assert result["error"].keys() == {"field", "rule", "message"}
        assert published == []
        return
    if result.get("status") == "ignored":
        assert published == []
        return
    ((subject, data),) = published
    message = decoded(subject, data)
    assert isinstance(message, MESSAGES[route])
    if isinstance(message, LiveWebhook):
        rows = rows_of(message)
        assert (rows.trade is not None) == (result["recognized"] == "option_trade")
        assert (rows.aggregate is not None) == (result["recognized"] == "market_aggregate")
