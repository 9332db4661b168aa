"""The HTTP application: routes, errors, the guard against web pages and the request counter put together."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

import gexlake
from services.intake.api import methods, sql, system
from services.intake.api.chronox import gaps, registry, scheduler, symbols
from services.intake.api.feeds import chains, live, snapshots, streams, webhooks
from services.intake.api.history import (
    backfill,
    cancellation,
    jobs,
    processing_jobs,
    queue,
    requests,
    rules,
    sources,
)
from services.intake.http import error_responses
from services.intake.http.browser_guard import BrowserGuard
from services.intake.http.context import AppContext
from services.intake.http.direct_route import DirectRoutes
from services.intake.state.metrics import RequestCounter

_GROUPS: Final = (
    jobs,
    cancellation,
    live,
    webhooks,
    chains,
    methods,
    streams,
    snapshots,
    backfill,
    rules,
    registry,
    gaps,
    symbols,
    scheduler,
    queue,
    processing_jobs,
    requests,  # after the queue, whose path would be a request's
    sql,
    sources,
    system,
)
_DESCRIPTION = """
Brings days of options gamma-exposure history from a posted URL into DuckDB and Parquet.

Post the URL of a day to `/gex_history_url`, or ask for a range of days at `/backfill`; follow the jobs at
`/jobs/{id}`. Every error is answered as `{"error": {"field", "rule", "message"}}`.
"""


def create_app(context: AppContext) -> ASGIApp:
    """Return the application that serves ``context``."""
    app = new_api()
    app.state.context = context
    settings = context.settings
    # Around the app, so that listed origins may read every response, those to unexpected errors too.
    with_cors = CORSMiddleware(
        DirectRoutes(app, app.state.routes),
        allow_origins=settings.cors_origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=("Authorization", "Content-Type", "If-Match", "Last-Event-ID", "X-API-Key"),
        expose_headers=("ETag", "Location", "Retry-After", "WWW-Authenticate"),
    )
    guarded = BrowserGuard(with_cors, settings.hosts, settings.cors_origins)
    return RequestCounter(guarded, context.metrics)


def new_api() -> FastAPI:
    """Return the routes and their description."""
    app = FastAPIOffline(  # /docs without a CDN: its files are served from here
        title="gexlake intake",
        version=gexlake.__version__,
        description=_DESCRIPTION,
        redoc_url=None,
        openapi_tags=[
            {"name": "jobs", "description": "Queue files, follow jobs, replay them"},
            {"name": "live", "description": "Post and follow live data, and read snapshots by time"},
            {"name": "priorities", "description": "Requests, the queue, its order, and the promises kept"},
            {"name": "rules", "description": "Decide how urgent a request is"},
            {"name": "symbols", "description": "Register symbols whose minute bars are wanted, and run them"},
            {"name": "scheduler", "description": "What the janitor runs when"},
            {"name": "lake", "description": "Query what was imported"},
            {"name": "sources", "description": "Where files come from, and how reliable that was"},
            {"name": "system", "description": "Health, status and metrics"},
        ],
    )
    error_responses.register(app)
    for group in _GROUPS:
        app.include_router(group.router)
    app.include_router(streams.sockets)
    app.state.routes = [route for group in _GROUPS for route in group.router.routes]
    return app
