"""The routes that read stored snapshots by a range of time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from gexlake.api.lake import ExportRequest, SqlRequest
from gexlake.api.live import SnapshotsPage
from services.intake.calls.lake_queries import LakeQueries
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.exports import CONTENT, Form, stream_result, wanted_form
from services.intake.snapshots.page import encode_page
from services.intake.snapshots.query import export_query, page_query
from services.intake.snapshots.request import (
    DEFAULT_SNAPSHOTS,
    ENDPOINTS,
    MAX_SNAPSHOTS,
    MAX_WITH_STRIKES,
    SnapshotsRequest,
)
from services.intake.snapshots.times import MAX_MS
from services.intake.snapshots.windows import export_windows

router = APIRouter(tags=["live"], dependencies=[Depends(require_key)])

_JSON: Final = "application/json"
_TIME: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "format": "date", "description": "a trading day in New York"},
        {"type": "string", "format": "date-time", "description": "UTC, if it has no zone"},
        {"type": "number", "minimum": 0, "description": "an epoch in seconds or milliseconds"},
    ]
}


def _parameters(name_of_ticker: str) -> list[dict[str, Any]]:
    """Return what OpenAPI says of the parameters, which are read by hand: some go by two names."""
    ticker = {"type": "string", "pattern": r"^[A-Za-z0-9^](\.?[A-Za-z0-9_^-])*$", "maxLength": 32}
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_SNAPSHOTS, "default": DEFAULT_SNAPSHOTS}
    end = "the first moment after the range, or its last day; by default there is none"
    start = "the first moment of the range; by default the trading day of its end, or today"
    most = (
        f"the maximum number of snapshots; with strikes, {MAX_WITH_STRIKES}; a page has at most about 900 kB"
    )
    described: tuple[tuple[str, dict[str, Any], str], ...] = (
        (name_of_ticker, ticker, "whose snapshots"),
        ("endpoint", {"enum": list(ENDPOINTS), "default": ENDPOINTS[0]}, "the GEX category"),
        ("start", _TIME, start),
        ("end", _TIME, end),
        ("limit", limit, most),
        (
            "cursor",
            {"type": "integer", "minimum": 0, "maximum": MAX_MS},
            "the last snapshot of the page before",
        ),
        ("strikes", {"type": "boolean", "default": False}, "with the strikes of each snapshot"),
        ("source", {"enum": ["history", "live"]}, "only snapshots that came this way"),
    )
    return [
        {
            "name": name,
            "in": "query",
            "required": name == name_of_ticker,
            "schema": schema,
            "description": text,
        }
        for name, schema, text in described
    ]


_RESULTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": SnapshotsPage,
        "description": "A page as JSON; as Arrow or CSV, all snapshots of the range",
        "content": CONTENT,
    },
    **documented(401, 408, 422, 503),
}


@router.get(
    "/gex/snapshots",
    summary="Read stored snapshots of a range of time",
    response_model=SnapshotsPage,
    responses=_RESULTS,
    openapi_extra={"parameters": _parameters("ticker")},
)
async def get_snapshots(request: Request, context: Context) -> Response:
    """Return snapshots of one ticker and endpoint in order of time, history and live alike.

    A page ends at `limit` or when the answer is full; `next` is the path of the page after it, which no
    arriving row changes. With the header `Accept: application/vnd.apache.arrow.stream` or `text/csv`, all
    snapshots of the range are streamed; if the connection ends early, the result is not complete.
    """
    asked = SnapshotsRequest.read(request.query_params, context.clock())
    form = wanted_form(request.headers.get("accept", ""))
    if form is not None:
        return await stream_result(_all_snapshots(context.lake, asked, form), form)
    found = await context.lake.rows(SqlRequest(query=page_query(asked), max_rows=asked.limit))
    return Response(encode_page(asked, found, request.url.path), media_type=_JSON)


def _all_snapshots(lake: LakeQueries, asked: SnapshotsRequest, form: Form) -> AsyncGenerator[bytes, None]:
    if asked.strikes:
        return export_windows(lake, asked, form)
    return lake.export(ExportRequest(query=export_query(asked, nested=False), format=form))


@router.get(
    "/gex",
    summary="Read stored snapshots, as the first system was asked",
    response_model=SnapshotsPage,
    responses=_RESULTS,
    openapi_extra={"parameters": _parameters("symbol")},
)
async def get_gex(request: Request, context: Context) -> Response:
    """Answer as `/gex/snapshots` does; the ticker is called `symbol`."""
    return await get_snapshots(request, context)
