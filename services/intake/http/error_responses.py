"""Every error as one JSON shape: ``{"error": {"field", "rule", "message"}}``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route

from gexlake.api.errors import ErrorAnswer, Problem
from services.intake.errors import NotReady, Refused, Unprocessable
from shared.errors import BrokerUnavailable, StreamFull
from shared.process.redaction import redact
from shared.sources.url_encryption import UrlKeysUnusable

OPERATOR_RETRY_AFTER_S = 60
"""For what a person has to put right."""
CLIENT_CLOSED_REQUEST = 499
"""What nginx calls it when the client hung up; it is counted, and no client sees it."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the errors of a route."""
    return {status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in statuses}


_MEANINGS = {
    400: "The body is not JSON, or no object",
    401: "No valid API key",
    408: "The query took too long and was stopped",
    404: "There is no such job, message or snapshot",
    409: "The system, or the job, is not in a state for it; the answer says which and what to do",
    412: "It was changed since it was read; the answer names its revision",
    413: "The body is over the limit of the route",
    415: "The content type is not taken",
    422: "A field is missing or breaks a rule; the answer names both",
    428: "The header If-Match is missing",
    429: "Over the rate limit; Retry-After says when to come again",
    503: "The broker did not acknowledge in time: nothing is known to be stored, send the same again",
}


def register(app: FastAPI) -> None:
    """Answer every error of ``app`` in the one shape."""
    app.exception_handler(Refused)(_refused)
    app.exception_handler(BrokerUnavailable)(_broker_unavailable)
    app.exception_handler(StreamFull)(_stream_full)
    app.exception_handler(UrlKeysUnusable)(_url_keys_unusable)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(ClientDisconnect)(_hung_up)
    app.exception_handler(Exception)(_unexpected)


def allowed_methods(request: Request) -> str:
    """Return the methods that the path of a request takes, in all of its routes."""
    routes = (*request.app.routes, *request.app.state.routes)
    methods: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _answer(status: int, field: str | None, rule: str, message: str, headers: Any = None) -> JSONResponse:
    # A message may quote what was sent, and scripts send URLs in whatever field they like.
    body = ErrorAnswer(error=Problem(field=field, rule=rule, message=redact(message)))
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def refusal(error: Refused) -> JSONResponse:
    """Return the response to a request that is refused."""
    return _answer(error.status, error.field, error.rule, str(error), error.headers)


async def _refused(_: Request, error: Refused) -> JSONResponse:
    return refusal(error)


async def _broker_unavailable(request: Request, error: BrokerUnavailable) -> JSONResponse:
    return await _refused(request, NotReady("broker", str(error)))


async def _stream_full(request: Request, error: StreamFull) -> JSONResponse:
    return await _refused(request, NotReady("stream_full", str(error), OPERATOR_RETRY_AFTER_S))


async def _url_keys_unusable(request: Request, error: UrlKeysUnusable) -> JSONResponse:
    return await _refused(request, NotReady("url_keys", str(error), OPERATOR_RETRY_AFTER_S))


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    return await _refused(request, Unprocessable.first_of(error.errors()))


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    path, method = request.url.path[:200], request.method[:20]
    field: str | None
    headers = error.headers
    match error.status_code:
        case 404:
            field, rule, message = "path", "route", f"there is no route {path}; /docs lists all"
        case 405:
            field, rule, message = (
                "method",
                "method",
                f"{path} does not take {method}; /docs lists what it takes",
            )
            headers = {"Allow": allowed_methods(request)}  # Starlette's has those of one route
        case _:
            field, rule, message = None, "http", error.detail
    return _answer(error.status_code, field, rule, message, headers)


async def _hung_up(_: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _unexpected(_: Request, _error: Exception) -> JSONResponse:
    # The HTTP server logs the error itself.
    message = "an unexpected error, which is in intake's log; nothing is known to be stored"
    return _answer(500, None, "unexpected", message)
