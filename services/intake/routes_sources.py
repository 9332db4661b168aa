"""The route about sources: where files come from, and how reliable that was."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from services.intake.auth import require_key
from services.intake.error_answers import documented
from services.intake.parts import Wired
from services.intake.sources_view import DataSource, view_source

router = APIRouter(prefix="/api/v1", tags=["sources"], dependencies=[Depends(require_key)])


@router.get("/sources", summary="Where do files come from?", responses=documented(401, 503))
async def get_sources(parts: Wired) -> list[DataSource]:
    """List every source that was asked in the last 90 days, with its requests and whether it is asked now."""
    parts.sources.require_read()
    now = parts.clock()
    return [view_source(record, now) for record in parts.sources.records]
