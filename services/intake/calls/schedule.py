"""The janitor's schedule, asked for and changed over NATS."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import BaseModel

from gexlake.api import rpc
from gexlake.api.chronox.scheduler import SchedulerStatus
from gexlake.api.rpc import CallFailed, Endpoint, NoService, call
from services.intake.errors import Conflict, NotFound, NotReady, Refused
from services.intake.state.broker_link import BrokerLink
from shared.bus.connection import translate_errors

ANSWER_WITHIN_S: Final = 4.5
_NOT_FOUND, _CONFLICT = 404, 409

Q = TypeVar("Q", bound=BaseModel)


async def ask_janitor(
    link: BrokerLink, endpoint: Endpoint[Q, SchedulerStatus], request: Q
) -> SchedulerStatus:
    """Send a request about the schedule to the janitor, and return the schedule as it is then.

    Raises:
        NotFound: no job has this name.
        Conflict: the job is running.
        NotReady: the janitor does not answer.
        BrokerUnavailable: the connection was lost.
    """
    with translate_errors("ask the janitor"):
        try:
            return await call(link.require().client, endpoint, request, ANSWER_WITHIN_S)
        except CallFailed as error:
            raise _refusal(error) from error


def _refusal(error: CallFailed) -> Refused:
    match error:
        case rpc.Refused(code=code) if code == _NOT_FOUND:
            return NotFound("job_id", "exists", str(error))
        case rpc.Refused(code=code) if code == _CONFLICT:
            return Conflict("job_id", "not_running", str(error))
        case NoService():
            return NotReady("janitor", "the janitor, which has the schedule, is not running: look at /status")
        case _:
            return NotReady("janitor", f"the janitor does not answer: {error}")
