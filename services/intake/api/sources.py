"""The route about sources: where files come from, and how reliable that was."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from gexlake.api.sources import DataSource
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.state.sources_view import view_source

router = APIRouter(prefix="/api/v1", tags=["sources"], dependencies=[Depends(require_key)])


@router.get("/sources", summary="Where do files come from?", responses=documented(401, 503))
async def get_sources(context: Context) -> list[DataSource]:
    """List the sources with their requests and whether they are asked now.

    They are those that were asked in the 90 days before intake was started, or since.
    """
    context.sources.require_read()
    now = context.clock()
    return [view_source(record, now) for record in context.sources.records]
