"""The route that takes live snapshots."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from gexlake.api.live import SnapshotAccepted, SnapshotStreamed
from services.intake.errors import Unprocessable
from services.intake.http.auth import client_of, require_key
from services.intake.http.context import AppContext, context_of
from services.intake.http.direct_route import DirectRoute
from services.intake.http.error_responses import documented
from services.intake.http.json_body import read_json_bytes
from services.intake.http.live_feed import outcome_of, store
from services.intake.live.payload import LIVE_ENDPOINTS, read_snapshot
from shared.bus.feeds.live_messages import Snapshot, SnapshotPart, encoded_snapshot
from shared.errors import GexlakeError

ROUTE: Final = "/gex"
router = APIRouter(tags=["live"], dependencies=[Depends(require_key)], route_class=DirectRoute)

_NUMBER: Final = {"type": ["number", "string", "null"]}
_TIME: Final = {
    "type": ["number", "string"],
    "description": "epoch seconds, milliseconds, microseconds or nanoseconds, or an ISO 8601 time",
}
_FIELDS: Final[dict[str, Any]] = {
    "timestamp": _TIME,
    "ticker": {"type": "string"},
    "endpoint": {"enum": list(LIVE_ENDPOINTS), "default": "gex_zero"},
    **dict.fromkeys(("spot", "zero_gamma", "net_gex", "sum_gex_vol", "sum_gex_oi"), _NUMBER),
    **dict.fromkeys(("major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi"), _NUMBER),
    "max_priors": {"type": ["array", "null"], "items": {"type": ["array", "number", "string", "null"]}},
    "strikes": {
        "type": ["array", "null"],
        "items": {
            "type": ["array", "object"],
            "description": "[strike, GEX by volume, GEX by open interest, [earlier figures]], or an object",
        },
    },
}
_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": True,
    "description": (
        "The vendor's record, a flat object with the same names, or an envelope with it in `data`. A "
        "snapshot needs `ticker`, `timestamp`, `spot` and `zero_gamma`. Numbers may be strings. Fields "
        "without a column are ignored."
    ),
    "properties": {
        **_FIELDS,
        "kind": {"enum": [str(part) for part in SnapshotPart], "default": "snapshot"},
        "received_at": _TIME,
        "data": {"type": ["object", "null"], "additionalProperties": True},
    },
    "example": {
        "timestamp": 1763132400,
        "ticker": "SPX",
        "endpoint": "gex_zero",
        "spot": 6734.11,
        "zero_gamma": 6712.5,
        "strikes": [[6730, -228.25, -86.5, [-240.5, -243.25, -245.25, -221.25, -220.0]]],
    },
}
_REQUEST_BODY: Final = {
    "required": True,
    "content": {kind: {"schema": _BODY} for kind in ("application/json", "text/plain")},
}

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False, "": False}
_STREAM_ONLY: Final = {
    "name": "stream_only",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": False},
    "description": "only for readers of `/gex/stream?replay=true`: a replay that is not stored",
}


@router.post(
    ROUTE,
    summary="Post a live snapshot, or a part of one",
    response_model=SnapshotAccepted | SnapshotStreamed,
    responses=documented(400, 401, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _REQUEST_BODY, "parameters": [_STREAM_ONLY]},
)
async def post_snapshot(request: Request) -> Response:
    """Store a snapshot of a ticker and endpoint; the answer comes after the broker has it on disk.

    The same content is stored once. `majors` and `maxchange` update the snapshot of the same ticker, endpoint
    and timestamp. With `stream_only`, it is stored nowhere: only readers of replays get it, now.
    """
    context, kind, outcome = context_of(request), "unknown", "interrupted"
    try:
        context.gex_limit.count(client_of(request))
        body = await read_json_bytes(request, context.settings.max_live_bytes)
        snapshot = read_snapshot(body, context.clock())
        kind = str(snapshot.part)
        if request.scope["query_string"] and _is_stream_only(request):
            outcome = "streamed"
            return _streamed(context, snapshot)
        await store(context, encoded_snapshot(snapshot, context.clock()))
        outcome = "accepted"
    except GexlakeError as error:
        outcome = outcome_of(error)
        raise
    finally:
        context.metrics.live.counted_payload(ROUTE, kind, outcome)
    return _accepted(snapshot.ticker)


def _is_stream_only(request: Request) -> bool:
    text = request.query_params.get("stream_only", "false").lower()
    if text not in _FLAGS:
        raise Unprocessable("stream_only", "boolean", "stream_only: it must be true or false")
    return _FLAGS[text]


def _streamed(context: AppContext, snapshot: Snapshot) -> Response:
    context.replays.publish(snapshot, context.clock())
    readers = context.replays.count
    body = msgspec.json.encode({"status": "success", "ticker": snapshot.ticker, "readers": readers})
    return Response(body, media_type="application/json")  # as SnapshotStreamed


def _accepted(ticker: str) -> Response:
    body = msgspec.json.encode({"status": "success", "ticker": ticker})  # as SnapshotAccepted
    return Response(body, media_type="application/json")
