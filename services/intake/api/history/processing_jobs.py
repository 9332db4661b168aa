"""The routes about processing jobs: jobs as the data model of priorities describes them."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from gexlake.api.priorities.processing_jobs import ProcessingJob, ProcessingJobsPage
from services.intake.history.replay import unknown_job
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.queue.processing import (
    PATH,
    ProcessingJobFilter,
    list_processing_jobs,
    view_processing_job,
)

router = APIRouter(prefix=PATH, tags=["priorities"], dependencies=[Depends(require_key)])


@router.get("", summary="List jobs by what became of them", responses=documented(401, 422, 503))
async def get_processing_jobs(
    context: Context, wanted: Annotated[ProcessingJobFilter, Query()]
) -> ProcessingJobsPage:
    """List the jobs of the last 30 days, the newest request first, in pages."""
    projection = context.projection
    projection.require_rebuilt()
    if wanted.request_id is None:  # many jobs take a while, in which others are to be answered
        return await asyncio.to_thread(list_processing_jobs, projection.jobs, wanted)
    state = projection.request(wanted.request_id)
    return list_processing_jobs([state] if state else [], wanted)


@router.get("/{job_id}", summary="Look at one processing job", responses=documented(401, 404, 422, 503))
async def get_processing_job(context: Context, job_id: UUID) -> ProcessingJob:
    """Return when the job was begun and ended, and what it brought."""
    context.projection.require_rebuilt()
    state = context.projection.job(job_id)
    if state is None:
        raise unknown_job(job_id)
    return view_processing_job(state)
