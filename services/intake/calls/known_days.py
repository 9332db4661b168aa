"""What the lake holds, asked of the importer over NATS: it alone can open the database."""

from __future__ import annotations

from typing import Final

from gexlake.api import services
from gexlake.api.rpc import CallFailed, NoResponse, NoService, Refused, call
from gexlake.api.services import DaysRequest, KnownDay
from services.intake.errors import NotReady
from shared.bus.connection import Bus, translate_errors

ANSWER_WITHIN_S: Final = 4.5


async def known_days(
    bus: Bus, request: DaysRequest, answer_within_s: float = ANSWER_WITHIN_S
) -> tuple[KnownDay, ...]:
    """Return the partitions that the lake holds, and those for which the vendor had no data.

    Raises:
        BrokerUnavailable: the connection was lost.
        NotReady: the importer does not answer, or not in these words.
    """
    with translate_errors("ask the importer which days it holds"):
        try:
            response = await call(bus.client, services.DAYS, request, answer_within_s)
        except CallFailed as error:
            raise _not_ready(_why(error, answer_within_s)) from error
    return response.days


def _why(error: CallFailed, waited_s: float) -> str:
    match error:
        case NoService():
            return "is it running?"
        case NoResponse():
            return f"waited {waited_s:g} s"
        case Refused():
            return str(error)
        case _:
            return "its answer cannot be read: is it of this version?"


def _not_ready(why: str) -> NotReady:
    return NotReady(
        "importer",
        f"the importer does not say which days the lake holds ({why}): nothing is queued, try again",
    )
