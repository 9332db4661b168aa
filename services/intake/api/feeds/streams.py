"""The routes that read live snapshots: the stream of them, and the newest of each ticker."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Response, WebSocket

from gexlake.api.live import LiveSnapshotView
from services.intake.errors import NotFound, NotReady, Refused, Unprocessable
from services.intake.http.auth import client_of, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented, refusal
from services.intake.live.events import EventFilter, parse_endpoint, parse_ticker
from services.intake.live.latest import newest_in
from services.intake.live.stream_response import SnapshotStream
from services.intake.live.stream_socket import SnapshotSocket
from shared.errors import BrokerUnavailable

router = APIRouter(tags=["live"], dependencies=[Depends(require_key)])
sockets = APIRouter()
"""Not in OpenAPI, which has no WebSockets."""

_MAX_DIGITS: Final = 18
_EXAMPLE: Final = (
    'id: 17\nevent: snapshot\ndata: {"id":17,"event":"snapshot","received_at":"2025-11-14T15:00:01.2Z",'
    '"ticker":"SPX","endpoint":"gex_zero","timestamp":1763132400000,"spot_price":6734.11,"zero_gamma":6712.5,'
    '"strikes":[[6730.0,-228.25,-86.5,[-240.5,-243.25,-245.25,-221.25,-220.0]]]}\n\n'
)
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Events `snapshot`, `majors` and `maxchange`, each with its place in FEED as its id and a JSON "
            "object as its data; `gap` if events are missing that Last-Event-ID asked for"
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}
_NAMES: Final = "one, or several separated by commas; by default all"
Tickers = Annotated[str, Query(description=f"tickers: {_NAMES}", examples=["SPX"])]
Endpoints = Annotated[str, Query(description=f"endpoints: {_NAMES}", examples=["gex_zero"])]
_AFTER: Final = "the id of the last event that the client has: the stream goes on after it"

_REPLAY: Final = "only snapshots that are replayed for stream readers: events `replay`, without ids"


@router.get(
    "/gex/stream",
    summary="Follow live snapshots",
    response_class=Response,
    responses={**_EVENTS, **documented(401, 422, 503)},
)
async def get_stream(
    context: Context,
    ticker: Tickers = "",
    endpoint: Endpoints = "",
    replay: Annotated[bool, Query(description=_REPLAY)] = False,  # noqa: FBT002 (a parameter of HTTP)
    last_event_id: Annotated[str, Query(description=_AFTER)] = "",
    last_event_id_header: Annotated[str, Header(alias="Last-Event-ID", description=_AFTER)] = "",
) -> SnapshotStream:
    """Send every live snapshot as a server-sent event, as soon as it is stored in FEED.

    A client that reads too slowly is cut off; with `Last-Event-ID` it gets the events that it missed.
    The same events come over the WebSocket `/gex/ws`, with the same parameters, one JSON message each.
    """
    wanted = EventFilter.parse(ticker, endpoint)
    send_timeout_s = context.settings.stream_send_timeout_s
    if replay:
        context.replays.require()
        return SnapshotStream(context.replays, wanted, context.replays.place, None, send_timeout_s)
    last_id = _event_id(last_event_id_header or last_event_id)
    hub = context.hub
    hub.require()
    after, gap = await hub.start_of(last_id)
    return SnapshotStream(hub, wanted, after, gap, send_timeout_s)


@router.get(
    "/gex/latest",
    summary="The newest snapshot",
    response_model=LiveSnapshotView,
    response_model_exclude_none=True,
    responses=documented(401, 404, 408, 422, 503),
)
async def get_latest(
    context: Context,
    ticker: Annotated[str, Query(description="one ticker", examples=["SPX"])],
    endpoint: Annotated[str, Query(description="one endpoint")] = "gex_zero",
) -> Any:
    """Return the newest snapshot of a ticker and endpoint that has a spot price, with its later parts merged.

    It comes from memory, or from the lake if no live snapshot is known.
    """
    ticker, endpoint = parse_ticker(ticker), parse_endpoint(endpoint)
    known = context.latest.get(ticker, endpoint)
    if known is not None and known.is_whole:
        return Response(known.json, media_type="application/json")
    try:
        found = await newest_in(context.lake, ticker, endpoint)
    except (NotReady, BrokerUnavailable):
        if known is None:
            raise
        found = None
    if found is None and known is not None:
        return Response(known.json, media_type="application/json")
    if found is None:
        raise NotFound(
            "ticker",
            "unknown",
            f"no snapshot of {ticker} {endpoint} is known: none was posted to /gex, and the lake has none",
        )
    return found


@sockets.websocket("/gex/ws")
async def follow_over_websocket(
    websocket: WebSocket, context: Context, ticker: str = "", endpoint: str = "", last_event_id: str = ""
) -> None:
    """Send every live snapshot as a JSON message."""
    hub, settings = context.hub, context.settings
    try:
        client_of(websocket)
        wanted = EventFilter.parse(ticker, endpoint)
        last_id = _event_id(last_event_id)
        hub.require()
        after, gap = await hub.start_of(last_id)
    except Refused as error:
        await websocket.send_denial_response(refusal(error))
        return
    except BrokerUnavailable as error:
        await websocket.send_denial_response(refusal(NotReady("broker", str(error))))
        return
    await websocket.accept()
    await SnapshotSocket(websocket, hub, settings.stream_send_timeout_s).serve(wanted, after, gap)


def _event_id(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise Unprocessable(
        "last_event_id",
        "event_id",
        f"{text[:80]!r} is not the id of an event: send the number of the last event that you have",
    )
