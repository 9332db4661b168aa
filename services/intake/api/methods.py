"""The methods that a path takes: the ``Allow`` header of a response to another one, and of ``OPTIONS``."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from starlette.routing import Match, Route

from services.intake.api.auth import require_key

router = APIRouter(include_in_schema=False, dependencies=[Depends(require_key)])


@router.options("/gex")
@router.options("/uw")
async def answer_options(request: Request) -> Response:
    """Say what a live route takes, to a client that is no browser's preflight: CORS answers those."""
    return Response(status_code=204, headers={"Allow": allowed_methods(request)})


def allowed_methods(request: Request) -> str:
    """Return the methods that the path of a request takes, in all of its routes."""
    routes = (*request.app.routes, *request.app.state.routes)
    methods: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
