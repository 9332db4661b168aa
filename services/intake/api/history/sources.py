"""The routes about sources: where files come from, how reliable that was, and which are requested."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from gexlake.api.sources import DataSource, SourceChanges, SourcesList
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import described_body, read_model
from services.intake.state.sources.control import no_source
from services.intake.state.sources.view import view_source

router = APIRouter(prefix="/api/v1/sources", tags=["sources"], dependencies=[Depends(require_key)])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("", summary="Where do files come from?", responses=documented(401, 422, 503))
async def get_sources(
    context: Context,
    active_only: bool = False,  # noqa: FBT001, FBT002 (of the query)
    limit: Limit = 1000,
) -> SourcesList:
    """List the sources with their requests and whether they are asked now.

    They are those that were asked in the 90 days before intake was started, or since, and those that a client
    has changed.
    """
    context.sources.require_read()
    now = context.clock()
    sources = [view_source(record, now) for record in context.sources.records]
    shown = [source for source in sources if source.is_active or not active_only]
    return SourcesList(sources=shown[:limit], total_count=len(shown))


@router.get("/{source_id}", summary="Show a source", responses=documented(401, 404, 422, 503))
async def get_source(source_id: UUID, context: Context) -> DataSource:
    """Show a source with its requests and whether it is asked now."""
    context.sources.require_read()
    record = context.sources.get(source_id)
    if record is None:
        raise no_source(source_id)
    return view_source(record, context.clock())


@router.patch(
    "/{source_id}",
    summary="Change a source",
    responses=documented(400, 401, 404, 413, 415, 422, 503),
    openapi_extra=described_body(SourceChanges),
)
async def patch_source(source_id: UUID, request: Request, context: Context, client: ClientName) -> DataSource:
    """Deactivate a source, activate it, or name it.

    Jobs of a deactivated source wait, without losing attempts, until it is activated. To activate a source
    closes its circuit, too.
    """
    context.sources.require_read()
    changes = await read_model(request, SourceChanges)
    record = await context.source_control.change(source_id, changes, public_name(client))
    return view_source(record, context.clock())
