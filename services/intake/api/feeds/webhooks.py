"""The route that takes webhooks."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from gexlake.api.live import WebhookIgnored, WebhookReceived
from services.intake.http.auth import client_of, require_key
from services.intake.http.context import context_of
from services.intake.http.direct_route import DirectRoute
from services.intake.http.error_responses import documented
from services.intake.http.json_body import read_json_bytes
from services.intake.http.live_feed import outcome_of, store
from services.intake.webhooks.frames import Frame, read_frame, split_topic, why_ignored
from shared.bus.feeds.live_messages import Webhook, live_webhook
from shared.errors import GexlakeError
from shared.unusual_whales.recognition import Recognized, recognize

ROUTE: Final = "/uw"
MAX_USER_AGENT_LENGTH: Final = 512
router = APIRouter(tags=["live"], dependencies=[Depends(require_key)], route_class=DirectRoute)

_NAME: Final = {"type": ["string", "null"], "maxLength": 256}
_PAYLOAD: Final = {"type": "object", "additionalProperties": True}
_BODY: Final[dict[str, Any]] = {
    "description": (
        "A frame of Phoenix, `[join_ref, ref, topic, event, payload]`; a frame of the vendor's official "
        "socket, `[channel, payload]`; or an object with a topic (`topic`, `type`, `feed` or `kind`) and a "
        "payload (`payload`, `data`, or the object itself). Any of them may be encoded twice: a JSON string."
    ),
    "anyOf": [
        {
            "type": "array",
            "prefixItems": [{}, {}, {"type": "string", "minLength": 1, "maxLength": 256}, _NAME, _PAYLOAD],
            "minItems": 5,
            "maxItems": 5,
        },
        {
            "type": "array",
            "prefixItems": [{"type": "string", "minLength": 1, "maxLength": 256}, _PAYLOAD],
            "minItems": 2,
            "maxItems": 2,
        },
        {"type": "object", "additionalProperties": True},
    ],
    "example": [
        None,
        None,
        "option_trades_super_algo:SPX",
        "new_msg",
        {"data": {"option_chain_id": "SPXW251114C06750000", "price": "2.80", "size": 500}},
    ],
}
_REQUEST_BODY: Final = {
    "required": True,
    "content": {kind: {"schema": _BODY} for kind in ("application/json", "text/plain")},
}


@router.post(
    ROUTE,
    summary="Post a webhook",
    response_model=WebhookReceived | WebhookIgnored,
    responses=documented(400, 401, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def post_webhook(request: Request) -> Response:
    """Store a payload of any topic; the answer comes after the broker has it on disk.

    Option trades and market aggregates get a row of their own besides. The same content is stored once.
    Heartbeats are ignored.
    """
    context, kind, outcome = context_of(request), "unknown", "interrupted"
    try:
        context.webhook_limit.count(client_of(request))
        frame = read_frame(await read_json_bytes(request, context.settings.max_live_bytes))
        reason = why_ignored(frame)
        if reason is not None:
            kind, outcome = reason, "ignored"
            return _response(WebhookIgnored(reason=reason, topic=frame.topic))
        name, symbol = split_topic(frame.topic)
        found = recognize(name, frame.payload)
        kind = str(found.kind) if found else "other"
        webhook = Webhook(
            topic=name,
            topic_symbol=symbol,
            event=frame.event,
            payload=frame.payload,
            source_ip=request.client.host if request.client else None,
            user_agent=request.headers.get("user-agent", "")[:MAX_USER_AGENT_LENGTH] or None,
        )
        await store(context, live_webhook(webhook, context.clock()))
        outcome = "accepted"
    except GexlakeError as error:
        outcome = outcome_of(error)
        raise
    finally:
        context.metrics.live.counted_payload(ROUTE, kind, outcome)
    return _response(_received(frame, found))


def _response(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _received(frame: Frame, found: Recognized | None) -> WebhookReceived:
    return WebhookReceived(
        topic=frame.topic,
        event=frame.event,
        recognized=found and found.kind.value,
        ticker=found and found.ticker,
        option_chain_id=found and found.chain_id,
    )
