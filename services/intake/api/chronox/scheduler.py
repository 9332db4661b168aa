"""The routes of the janitor's schedule: look at it, stop and start it, run a job now."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from gexlake.api.chronox import scheduler as endpoints
from gexlake.api.chronox.scheduler import RunJob, SchedulerRequest, SchedulerStatus
from services.intake.calls.schedule import ask_janitor
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented

router = APIRouter(prefix="/api/v1/scheduler", tags=["scheduler"], dependencies=[Depends(require_key)])


@router.get("/status", summary="What runs when?", responses=documented(401, 503))
async def get_status(context: Context) -> SchedulerStatus:
    """Show the scheduled jobs: their triggers, their last rounds and the next ones."""
    return await ask_janitor(context.link, endpoints.STATUS, SchedulerRequest())


@router.post("/start", summary="Start jobs by their schedule again", responses=documented(401, 503))
async def post_start(context: Context) -> SchedulerStatus:
    """Start jobs by their triggers again; one that is overdue runs at once. If they are, nothing changes."""
    return await ask_janitor(context.link, endpoints.START, SchedulerRequest())


@router.post("/stop", summary="Start no job by its schedule", responses=documented(401, 503))
async def post_stop(context: Context) -> SchedulerStatus:
    """Start no job by its trigger, until `start` or a restart of the janitor; running ones go on."""
    return await ask_janitor(context.link, endpoints.STOP, SchedulerRequest())


@router.post(
    "/jobs/{job_id}/run",
    status_code=202,
    summary="Run a scheduled job now",
    responses=documented(401, 404, 409, 422, 503),
)
async def post_run(job_id: str, context: Context) -> SchedulerStatus:
    """Start a job now, beside its trigger; that works while the scheduler is stopped, too."""
    return await ask_janitor(context.link, endpoints.RUN, RunJob(job_id=job_id[:64]))
