"""The routes that run registered symbols through their phases."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from gexlake.api.chronox.runs import (
    Execute,
    ExecuteResult,
    RefreshSnapshots,
    RunsList,
    RunView,
    SnapshotsRefreshed,
)
from gexlake.api.chronox.symbols import RegisteredSymbol, RunOutcome
from services.intake.errors import Unprocessable
from services.intake.http.auth import ClientName, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import described_body, read_json_object, read_model

router = APIRouter(prefix="/api/v1/registry", tags=["symbols"], dependencies=[Depends(require_key)])
_OPTIONAL_BODY = described_body(Execute)
_OPTIONAL_BODY["requestBody"]["required"] = False


@router.post(
    "/execute",
    status_code=202,
    summary="Run registered symbols through their phases",
    responses=documented(400, 401, 409, 413, 415, 422, 429, 503),
    openapi_extra=_OPTIONAL_BODY,
)
async def post_execute(request: Request, context: Context, client: ClientName) -> ExecuteResult:
    """Begin a run of all enabled symbols, or of some: backfill, snapshot and stream, as their strategies say.

    A symbol that has a run goes on with it. The runs go on after the answer; `GET /api/v1/registry/runs`
    shows them. With `dry_run` nothing is begun. The body may be left out.
    """
    context.history_limit.count(client)
    try:
        asked = Execute.model_validate(await read_json_object(request, optional=True))
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors()) from error
    return await context.chronox.executions.execute(asked)


@router.get("/runs", summary="How far are the runs?", responses=documented(401, 422, 503))
async def get_runs(
    context: Context,
    in_progress_only: bool = False,  # noqa: FBT001, FBT002 (of the query)
) -> RunsList:
    """List the run of each symbol that has one, else its last one, in alphabetical order."""
    context.symbols.require_read()
    runs = [view for found in context.symbols.all if (view := _view(found.symbol)) is not None]
    shown = [run for run in runs if run.outcome is None or not in_progress_only]
    return RunsList(runs=shown, in_progress=sum(run.outcome is None for run in runs))


@router.post(
    "/snapshots",
    status_code=202,
    summary="Have snapshots fetched again",
    responses=documented(400, 401, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(RefreshSnapshots),
)
async def post_snapshots(request: Request, context: Context, client: ClientName) -> SnapshotsRefreshed:
    """Queue a job for each 250 symbols, registered or not; `last_snapshot` is written when it has ended."""
    context.history_limit.count(client)
    return await context.chronox.executions.refresh_snapshots(await read_model(request, RefreshSnapshots))


def _view(symbol: RegisteredSymbol) -> RunView | None:
    if symbol.run is not None:
        fields = symbol.run.model_dump(
            include={"run_id", "phase", "phases", "started_at", "jobs_done", "jobs_total", "records"}
        )
        return RunView(symbol=symbol.symbol, strategy=symbol.strategy, outcome=None, **fields)
    if symbol.last_run is None:
        return None
    failed = symbol.last_run.outcome is RunOutcome.FAILED
    return RunView(
        symbol=symbol.symbol,
        strategy=symbol.strategy,
        error_message=symbol.error_message if failed else None,
        **symbol.last_run.model_dump(),
    )
