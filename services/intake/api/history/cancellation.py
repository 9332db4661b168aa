"""The routes that cancel a job, by its request and by its own id."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from gexlake.api.jobs import Cancelled
from services.intake.history.body_fields import MAX_REASON_LENGTH
from services.intake.history.cancellation import Cancellation
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from shared.job_states import JobState
from shared.process.redaction import redact

router = APIRouter(tags=["jobs"], dependencies=[Depends(require_key)])
_ERRORS = documented(401, 404, 409, 422, 503)
Reason = Annotated[
    str | None, Query(max_length=MAX_REASON_LENGTH, description="why; the job and the ledger show it")
]


@router.delete("/api/v1/ingest/priority/{request_id:uuid}", summary="Cancel a request", responses=_ERRORS)
async def delete_request(
    request_id: UUID, context: Context, client: ClientName, reason: Reason = None
) -> Cancelled:
    """Cancel the request's job, unless a worker has it or it has ended.

    After the answer, the job is not fetched or imported any more. A cancelled job that is posted again or
    replayed is a new generation.
    """
    return _view(await context.cancellations.cancel_request(request_id, _asked(client, reason)))


@router.delete("/api/v1/processing-jobs/{job_id}", summary="Cancel a job", responses=_ERRORS)
async def delete_job(job_id: UUID, context: Context, client: ClientName, reason: Reason = None) -> Cancelled:
    """Do the same by the id of the job."""
    return _view(await context.cancellations.cancel_job(job_id, _asked(client, reason)))


def _asked(client: str, reason: str | None) -> Cancellation:
    return Cancellation(public_name(client), redact((reason or "").strip()) or None)


def _view(state: JobState) -> Cancelled:
    request = state.request.request_id if state.request else state.job.request_id
    return Cancelled(request_id=request, job_id=state.job.job_id, cancelled_at=state.updated_at)
