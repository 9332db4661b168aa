"""The route that takes snapshots of option chains."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response, status

from gexlake.api.live import ChainAccepted
from services.intake.chains.body import ChainBody, StrikeBody, read_chain
from services.intake.http.auth import client_of, require_key
from services.intake.http.context import context_of
from services.intake.http.direct_route import DirectRoute
from services.intake.http.error_responses import documented
from services.intake.http.json_body import read_json_bytes
from services.intake.http.live_feed import outcome_of, store
from shared.bus.feeds.chain_messages import MAX_STRIKES
from shared.bus.feeds.live_messages import live_chain
from shared.errors import GexlakeError
from shared.gexbot.trading_day import new_york_time

ROUTE: Final = "/api/v1/snapshots"
router = APIRouter(tags=["live"], dependencies=[Depends(require_key)], route_class=DirectRoute)


def _schema(kind: type[msgspec.Struct], **properties: Any) -> dict[str, Any]:
    schema = dict(msgspec.json.schema(kind)["$defs"][kind.__name__])
    return {**schema, "properties": {**schema["properties"], **properties}}


_STRIKES: Final = {"type": "array", "minItems": 1, "maxItems": MAX_STRIKES, "items": _schema(StrikeBody)}
_TIME: Final = {
    "type": "string",
    "description": "in New York, unless it has an offset: `10:30:00`, or `15:30:00Z`",
}
_BODY: Final[dict[str, Any]] = {
    **_schema(ChainBody, strikes=_STRIKES, snapshot_time=_TIME),
    "example": {
        "market_symbol": "SPX",
        "snapshot_date": "2025-11-14",
        "snapshot_time": "10:30:00",
        "strikes": [
            {
                "strike_price": 6730,
                "call_open_interest": 1250,
                "put_open_interest": 980,
                "call_volume": 310,
                "call_bid": 12.4,
                "call_ask": 12.8,
                "gamma": 0.0042,
            }
        ],
    },
}
_REQUEST_BODY: Final = {
    "required": True,
    "content": {kind: {"schema": _BODY} for kind in ("application/json", "text/plain")},
}


@router.post(
    ROUTE,
    summary="Post a snapshot of an option chain",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=ChainAccepted,
    responses=documented(400, 401, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def post_chain(request: Request) -> Response:
    """Store open interest, volumes, quotes and Greeks by strike; the answer comes after the broker has them.

    The same content is stored once. Another content with the same `snapshot_id` replaces the snapshot as a
    whole.
    """
    context, outcome = context_of(request), "interrupted"
    try:
        context.gex_limit.count(client_of(request))
        body = await read_json_bytes(request, context.settings.max_live_bytes)
        now = context.clock()
        chain = read_chain(body, now)
        await store(context, live_chain(chain, now))
        outcome = "accepted"
    except GexlakeError as error:
        outcome = outcome_of(error)
        raise
    finally:
        context.metrics.live.counted_payload(ROUTE, "chain", outcome)
    moment = new_york_time(chain.timestamp)
    accepted = ChainAccepted(
        snapshot_id=chain.snapshot_id,
        job_id=chain.job_id,
        market_symbol=chain.market_symbol,
        snapshot_date=moment.date(),
        snapshot_time=moment.time(),
        timestamp=chain.timestamp,
        strikes=len(chain.strikes),
        total_open_interest=chain.total_open_interest,
        total_volume=chain.total_volume,
        processed_at=now,
        data_quality_score=chain.data_quality_score,
    )
    return Response(accepted.model_dump_json(), status.HTTP_202_ACCEPTED, media_type="application/json")
