"""The NATS micro endpoint by which operators replay: ``nats req gex.svc.jobs.replay '{"job_id": "…"}'``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from nats.micro.request import Request
from nats.micro.service import Service

from services.intake.api.json_body import read_object
from services.intake.errors import NotFound, Refused
from services.intake.history.commands import JobCommands
from services.intake.history.replay import read_replay_request
from shared.bus import subjects
from shared.errors import GexlakeError
from shared.process.redaction import redact

_FORMAT: Final = '{"job_id": "…"} or {"stream_seq": n} or {"dead_letter": n}; optional: stage, force, reason'
log = structlog.get_logger(__name__)


async def serve_replay(service: Service, commands: JobCommands) -> None:
    """Add the endpoint to intake's micro service."""
    metadata = {"description": "Publish a job's command again as a new generation", "request": _FORMAT}
    await service.add_endpoint(
        name="replay", subject=subjects.REPLAY, handler=_handler(commands), metadata=metadata
    )


def _handler(commands: JobCommands) -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        try:
            answer = await commands.replay(read_replay_request(read_object(request.data)))
        except GexlakeError as error:
            await request.respond_error(_code(error), _one_line(error))
        except Exception:
            log.exception("unexpected_error", subject=request.subject)
            await request.respond_error("500", "an unexpected error, which is in intake's log")
        else:
            await request.respond(answer.model_dump_json().encode())

    return handle


def _code(error: GexlakeError) -> str:
    """Return the code of an error: 404 not found, 400 a bad request, 503 to be sent again."""
    match error:
        case NotFound():
            return "404"
        case Refused() if error.status < 500:
            return "400"
        case _:
            return "503"


def _one_line(error: GexlakeError) -> str:
    return " ".join(redact(str(error)).split())
