"""The routes of priority requests: post one, look at them, change the priority of one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from gexlake.api.priorities.requests import (
    NewPriorityRequest,
    PriorityAccepted,
    PriorityChange,
    RequestsPage,
    RequestView,
)
from services.intake.history.priority_change import unknown_request
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import AppContext, Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import described_body, read_json_object
from services.intake.requests.body import read_priority_change, read_priority_request
from services.intake.requests.view import (
    PATH,
    RequestFilter,
    find_requests,
    view_accepted,
    view_request,
    view_requests,
)
from shared.bus.requests import PriorityRequest
from shared.job_states import JobState

router = APIRouter(prefix=PATH, tags=["priorities"], dependencies=[Depends(require_key)])


@router.post(
    "",
    status_code=202,
    summary="Bring a file into the lake, as urgently as the rules decide",
    responses=documented(400, 401, 413, 415, 422, 429, 503),
    openapi_extra=described_body(NewPriorityRequest),
)
async def post_request(request: Request, context: Context, client: ClientName) -> PriorityAccepted:
    """Score a request, queue its file, and say by when it will be in the lake.

    The answer comes after the broker has the job on disk. A request for a file whose job is not finished
    joins the request of that job, and may raise its level. A `priority` needs a `reason`, and goes before
    what the rules decide.
    """
    context.history_limit.count(client)
    asked = read_priority_request(
        await read_json_object(request),
        context.gate,
        context.settings.is_optionable,
        context.clock(),
        public_name(client),
    )
    return view_accepted(await context.commands.accept(asked), context.clock())


@router.get("", summary="List requests, the newest first", responses=documented(401, 422, 503))
async def get_requests(context: Context, wanted: Annotated[RequestFilter, Query()]) -> RequestsPage:
    """List the requests of the last 30 days, filtered by level, status, symbol and time, in pages."""
    context.projection.require_rebuilt()
    # A month of requests takes a while to filter and sort, in which others are to be answered.
    found = await asyncio.to_thread(find_requests, context.projection.requests, wanted)
    return view_requests(found, wanted, partial(_view, context))


@router.get("/{request_id:uuid}", summary="Look at one request", responses=documented(401, 404, 422, 503))
async def get_request(request_id: UUID, context: Context) -> RequestView:
    """Return the priority of a request, why it has it, its deadline, and what came of it."""
    return _shown(context, request_id)


@router.patch(
    "/{request_id:uuid}",
    summary="Change the priority of a request",
    responses=documented(400, 401, 404, 409, 413, 415, 422, 503),
    openapi_extra=described_body(PriorityChange),
)
async def patch_request(
    request_id: UUID, request: Request, context: Context, client: ClientName
) -> RequestView:
    """Give a request whose job is not finished another level or score; the deadline counts from now.

    The choice and its reason are recorded. A job that a worker has goes on as a new generation.
    """
    choice = read_priority_change(await read_json_object(request), public_name(client))
    await context.priority_changes.change(request_id, choice)
    return _shown(context, request_id)


def _shown(context: AppContext, request_id: UUID) -> RequestView:
    context.projection.require_rebuilt()
    state = context.projection.request(request_id)
    if state is None or state.request is None:
        raise unknown_request(request_id)
    return _view(context, state, state.request)


def _view(context: AppContext, state: JobState, request: PriorityRequest) -> RequestView:
    end, expected_at = context.promises.end(state), context.prioritizer.expected_at(state)
    return view_request(state, request, end, expected_at)
