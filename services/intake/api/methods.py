"""The routes that say which methods a live route takes."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from services.intake.http.auth import require_key
from services.intake.http.error_responses import allowed_methods

router = APIRouter(include_in_schema=False, dependencies=[Depends(require_key)])


@router.options("/gex")
@router.options("/uw")
async def answer_options(request: Request) -> Response:
    """Say what a live route takes, to a client that is no browser's preflight: CORS answers those."""
    return Response(status_code=204, headers={"Allow": allowed_methods(request)})
