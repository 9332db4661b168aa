"""The routes about the system itself: alive, ready, what it does, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from gexlake.api.system import Health, Readiness, StatusView
from services.intake.http.auth import require_key
from services.intake.http.context import Context
from services.intake.http.error_responses import documented
from services.intake.state.metrics import CONTENT_TYPE
from services.intake.state.status import read_broker_state, view_status, why_not_ready

router = APIRouter(tags=["system"])


@router.get("/health", summary="Is this process alive?")
async def get_health() -> Health:
    """Answer always; /ready reports whether jobs get done."""
    return Health()


@router.get(
    "/ready",
    summary="Would jobs be done now?",
    responses={503: {"model": Readiness, "description": "Something is missing; the reasons say what"}},
)
async def get_ready(context: Context, response: Response) -> Readiness:
    """Answer 200 when requests can be stored, jobs are known, and the importer answers."""
    reasons = await why_not_ready(context.link, context.projection, context.write_probe)
    if not context.settings.url_cipher.is_usable:
        reasons.append("the keys of signed URLs are unusable (GEXLAKE_URL_KEYS)")
    if not context.rules.is_read:
        reasons.append("intake has not yet read from the broker which rules there are")
    response.status_code = 503 if reasons else 200
    return Readiness(ready=not reasons, reasons=reasons)


@router.get(
    "/status",
    summary="What is the system doing?",
    dependencies=[Depends(require_key)],
    responses=documented(401),
)
async def get_status(context: Context) -> StatusView:
    """Return queue depth, dead letters, jobs by state and the services' last heartbeats, as far as known."""
    broker_state = await read_broker_state(context.link, context.dead_letters)
    return view_status(context.projection, context.sources, broker_state, context.clock())


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    dependencies=[Depends(require_key)],
    response_class=Response,
    responses=documented(401),
)
async def get_metrics(context: Context) -> Response:
    """Expose counters, gauges and histograms in Prometheus' text format."""
    broker_state = await read_broker_state(context.link, context.dead_letters)
    text = context.metrics.expose(context.projection, broker_state, context.clock())
    return Response(text, media_type=CONTENT_TYPE)
