"""The route that asks for history by date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, Depends, Request

from gexlake.api.backfill import BackfillView, DayView, NamedDayView, Standing
from gexlake.api.jobs import Priority
from services.intake.backfill.plan import PlannedDay, warnings, without_key
from services.intake.backfill.request import MAX_JOBS, BackfillRequest, NamedDay, read_backfill_request
from services.intake.history.body_fields import MAX_REASON_LENGTH
from services.intake.http.auth import ClientName, public_name, require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.http.json_body import read_json_object
from shared.gexbot.partition import ENDPOINTS
from shared.gexbot.trading_day import NEW_YORK

router = APIRouter(tags=["jobs"], dependencies=[Depends(require_key)])

_ENDPOINT: Final = {"enum": list(ENDPOINTS)}
_DAY: Final = {"type": "string", "format": "date"}
_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "description": (
        "One job for each trading day of each ticker and endpoint, at most "
        f"{MAX_JOBS} at once. `ticker` and `endpoint` may be lists, and be called `tickers` and `endpoints`."
    ),
    "properties": {
        "ticker": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "endpoint": {"oneOf": [_ENDPOINT, {"type": "array", "items": _ENDPOINT}]},
        "start": {**_DAY, "description": "the first day; New York dates"},
        "end": {**_DAY, "description": "the last day"},
        "days": {"type": "array", "items": _DAY, "description": "instead of start and end"},
        "priority": {
            "enum": [str(priority) for priority in Priority],
            "description": "by default, what the rules decide",
        },
        "force": {"type": "boolean", "description": "also what the lake holds or the vendor had no data for"},
        "reason": {"type": "string", "maxLength": MAX_REASON_LENGTH, "description": "needed with force"},
        "dry_run": {"type": "boolean", "description": "return the plan, queue nothing"},
    },
    "example": {"ticker": "NQ_NDX", "endpoint": "gex_zero", "start": "2025-09-02", "end": "2025-11-14"},
}


@router.post(
    "/backfill",
    summary="Bring the trading days of a range into the lake",
    responses=documented(400, 401, 409, 413, 415, 422, 429, 503),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
    },
)
async def post_backfill(request: Request, context: Context, client: ClientName) -> BackfillView:
    """Queue a job for every trading day that the lake lacks, and return the standing of each day.

    Days that the lake holds, that a job is bringing in, or for which the vendor had no data are left out.
    Asking again after an error goes on where it ended.
    """
    context.history_limit.count(client)
    today = context.clock().astimezone(NEW_YORK).date()
    asked = read_backfill_request(await read_json_object(request), today, public_name(client))
    days = await context.backfills.run(asked)
    lacking = without_key(days, context.projection.heartbeats(), context.clock())
    return _view(asked, days, [*warnings(asked, today), *lacking])


def _view(asked: BackfillRequest, days: Iterable[PlannedDay], said: list[str]) -> BackfillView:
    shown = [_view_day(day) for day in days]
    counts = Counter(day.standing for day in shown)
    return BackfillView(
        dry_run=asked.dry_run,
        counts={standing: counts[standing] for standing in Standing},
        days=shown,
        closed=_named(asked.closed),
        early_closes=_named(asked.early_closes),
        warnings=said,
    )


def _view_day(day: PlannedDay) -> DayView:
    return DayView(
        ticker=day.partition.ticker,
        endpoint=day.partition.endpoint,
        trading_day=day.partition.trading_day,
        standing=day.standing,
        id=day.job_id,
    )


def _named(days: Iterable[NamedDay]) -> list[NamedDayView]:
    return [NamedDayView(day=named.day, why=named.why) for named in days]
