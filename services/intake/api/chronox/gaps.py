"""The routes of the gaps of minute bars: list them, and have them found and filled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError

from gexlake.api.chronox.bars import MAX_GAPS, GapsRequest, GapsResponse, GapStatus
from gexlake.api.chronox.runs import DetectGaps, GapsDetected
from gexlake.api.chronox.symbols import SymbolText
from services.intake.errors import Unprocessable
from services.intake.http.auth import ClientName, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import described_body, read_json_object

router = APIRouter(prefix="/api/v1/gaps", tags=["symbols"], dependencies=[Depends(require_key)])
_OPTIONAL_BODY = described_body(DetectGaps)
_OPTIONAL_BODY["requestBody"]["required"] = False


@router.get("", summary="Which minutes are missing?", responses=documented(401, 422, 503))
async def get_gaps(
    context: Context,
    symbol: Annotated[SymbolText | None, Query(description="as the vendor writes it")] = None,
    status: GapStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_GAPS)] = 1000,
) -> GapsResponse:
    """List gaps, the oldest first, as the last detection has found them."""
    return await context.chronox.lake.gaps(GapsRequest(symbol=symbol, status=status, limit=limit))


@router.post(
    "/detect",
    summary="Find gaps and have them filled",
    responses=documented(400, 401, 404, 413, 415, 422, 429, 503),
    openapi_extra=_OPTIONAL_BODY,
)
async def post_detect(request: Request, context: Context, client: ClientName) -> GapsDetected:
    """Compare the stored bars of all enabled symbols, or of some, with the exchange's sessions.

    Jobs are queued for what is missing, at most so many a day, unless `fill` is false. For symbols that are
    named, gaps that the vendor refused, or that were asked for today, are asked for again. With `first`,
    minutes before a symbol's first bar and its registration count, too. The body may be left out.
    """
    context.history_limit.count(client)
    try:
        asked = DetectGaps.model_validate(await read_json_object(request, optional=True))
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors()) from error
    return await context.chronox.gaps.detect(asked)
