"""The NATS micro endpoint by which operators replay: ``nats req gex.svc.jobs.replay '{"job_id": "…"}'``."""

from __future__ import annotations

import structlog
from nats.micro.service import Service

from gexlake.api import services
from gexlake.api.rpc import Refused as RequestRefused
from gexlake.api.rpc import serve
from services.intake.errors import NotFound, Refused
from services.intake.history.commands import JobCommands
from services.intake.history.json_object import read_object
from services.intake.history.replay import read_replay_request, replay_of_request
from shared.errors import GexlakeError
from shared.process.redaction import redact

log = structlog.get_logger(__name__)


async def serve_replay(service: Service, commands: JobCommands) -> None:
    """Add the endpoint to intake's micro service."""

    async def replay(request: services.ReplayRequest) -> services.ReplayQueued:
        return await commands.replay(replay_of_request(request))

    await serve(service, services.REPLAY, replay, refusal=_refusal, parse=_parse)


def _parse(_: type[services.ReplayRequest], data: bytes) -> services.ReplayRequest:
    return read_replay_request(read_object(data))


def _refusal(error: Exception) -> RequestRefused:
    """Return 404 for what is not found, 400 for a bad request, 503 for what may be sent again."""
    if not isinstance(error, GexlakeError):
        log.error("unexpected_error", exc_info=error)
        return RequestRefused(500, "an unexpected error, which is in intake's log")
    match error:
        case NotFound():
            code = 404
        case Refused() if error.status < 500:
            code = 400
        case _:
            code = 503
    return RequestRefused(code, redact(str(error)))
