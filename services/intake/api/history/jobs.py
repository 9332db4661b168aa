"""The routes about jobs: queue a file, list and look at jobs, replay one."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request

from gexlake.api.jobs import EXAMPLE_URL, JobsPage, JobView, Priority, Queued, Stage
from gexlake.api.services import ReplayQueued
from services.intake.history.body_fields import MAX_REASON_LENGTH
from services.intake.history.replay import (
    KnownJob,
    Replay,
    read_replay_options,
    unknown_job,
)
from services.intake.history.request import read_history_request
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import read_json_object
from services.intake.requests.view import view_queued
from services.intake.state.jobs_view import JobFilter, list_jobs, view_job
from shared.gexbot.partition import ENDPOINTS

router = APIRouter(tags=["jobs"], dependencies=[Depends(require_key)])

_HISTORY_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": True,
    "description": (
        "Keys are loose: any string may hold the URL, any string that starts with `gex_` or `state_` or is "
        "`orderflow` is the endpoint, `ticker`, `symbol`, `underlying` or the one remaining string is the "
        "ticker; `metadata`, `payload` or `data` may hold them too. What the file's name says of the ticker "
        "and the endpoint beats the body."
    ),
    "properties": {
        "url": {"type": "string", "description": "the (signed) URL of a day of GEX history"},
        "ticker": {"type": "string"},
        "endpoint": {"enum": list(ENDPOINTS)},
        "raw_body": {
            "type": "string",
            "description": "the file itself; it is staged as the file of the URL, which is not fetched",
        },
        "priority": {
            "enum": [str(priority) for priority in Priority],
            "description": "by default, what the rules decide",
        },
        "metadata": {"type": "object", "description": "the rules may read it, up to 16 KiB and 20 levels"},
        "force": {"type": "boolean", "description": "replace good data by worse data; needs a reason"},
        "reason": {"type": "string", "maxLength": MAX_REASON_LENGTH},
    },
    "example": {"url": f"{EXAMPLE_URL}?sig=signature", "ticker": "NQ_NDX", "endpoint": "gex_zero"},
}
_REPLAY_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "stage": {
            "enum": [str(stage) for stage in Stage],
            "description": "where to start again; by default the stage that the job is in or ended in",
        },
        "force": {"type": "boolean", "description": "replace good data by worse data; needs a reason"},
        "reason": {"type": "string", "maxLength": MAX_REASON_LENGTH},
    },
    "example": {"stage": "import"},
}


def _body(schema: dict[str, Any], *types: str, required: bool) -> dict[str, Any]:
    content = {name: {"schema": schema} for name in types}
    return {"requestBody": {"required": required, "content": content}}


@router.post(
    "/gex_history_url",
    summary="Bring a day of GEX history into the lake",
    responses=documented(400, 401, 413, 415, 422, 429, 503),
    openapi_extra=_body(_HISTORY_BODY, "application/json", "text/plain", required=True),
)
async def post_history_url(request: Request, context: Context, client: ClientName) -> Queued:
    """Queue the fetch and import of one file.

    The same file is the same job: posted again while it is under way, nothing happens; with a fresh
    signature, its URL is refreshed; posted again when it is finished, it is done again. The answer comes
    after the broker has the job on disk.
    """
    context.history_limit.count(client)
    asked = read_history_request(await read_json_object(request), context.gate, public_name(client))
    return view_queued(await context.commands.accept(asked), context.clock())


@router.get("/jobs", summary="List jobs, the newest request first", responses=documented(401, 422, 503))
async def get_jobs(context: Context, wanted: Annotated[JobFilter, Query()]) -> JobsPage:
    """List the jobs of the last 30 days, filtered by status, ticker, endpoint and id, in pages."""
    context.projection.require_rebuilt()
    return list_jobs(context.projection.jobs, wanted, context.projection.progress)


@router.get("/jobs/{id}", summary="Look at one job", responses=documented(401, 404, 422, 503))
async def get_job(context: Context, job_id: Annotated[UUID, Path(alias="id")]) -> JobView:
    """Return the job's state, every transition, its progress, its result or its error."""
    context.projection.require_rebuilt()
    state = context.projection.job(job_id)
    if state is None:
        raise unknown_job(job_id)
    return view_job(state, context.projection.progress(state))


@router.post(
    "/jobs/{id}/replay",
    summary="Do a job again from its message",
    responses=documented(400, 401, 404, 413, 415, 422, 503),
    openapi_extra=_body(_REPLAY_BODY, "application/json", required=False),
)
async def post_replay(
    request: Request, context: Context, job_id: Annotated[UUID, Path(alias="id")]
) -> ReplayQueued:
    """Publish the job's command again as a new generation; importing replaces, so replays converge."""
    options = read_replay_options(await read_json_object(request, optional=True))
    return await context.commands.replay(Replay(KnownJob(job_id), options))
