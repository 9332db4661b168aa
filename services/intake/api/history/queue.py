"""The routes about the queue and the promises kept."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from gexlake.api.priorities.queue import Queue, Sla
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.queue.promises import view_sla
from services.intake.queue.view import view_queue

router = APIRouter(prefix="/api/v1", tags=["priorities"], dependencies=[Depends(require_key)])


@router.get("/ingest/priority/queue", summary="What waits?", responses=documented(401, 503))
async def get_queue(context: Context) -> Queue:
    """Show what waits and runs of each level, and the next ten jobs in the order of the work."""
    context.projection.require_rebuilt()
    return view_queue(context.queue, context.projection.heartbeats(), context.clock())


@router.get("/sla", summary="Were the promises kept?", responses=documented(401, 422, 503))
async def get_sla(
    context: Context,
    window: Annotated[
        str, Query(description="requests submitted in the last 1m to 30d", examples=["24h"])
    ] = "24h",
) -> Sla:
    """Count the requests of each level whose promise was kept or missed, and how long they took."""
    context.projection.require_rebuilt()
    # A month of requests takes a second to count, in which others are to be answered.
    requests, now = context.projection.requests, context.clock()
    return await asyncio.to_thread(view_sla, requests, context.promises, window, now)
