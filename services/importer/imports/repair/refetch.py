"""Ask intake to replay a job from its fetch, because its partition and its staged file are gone."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from gexlake.api import services
from gexlake.api.jobs import Stage
from gexlake.api.rpc import CallFailed, Refused, call
from gexlake.api.services import ReplayRequest
from services.importer.errors import IntakeUnavailable
from shared.bus.connection import Bus, translate_errors

_TIMEOUT_S: Final = 10.0
_LATER: Final = (429, 503)
"""Codes of refusals of requests that may succeed when sent again."""
_REASON: Final = "the partition is missing in the database and in Parquet, and its staged file is gone"


async def fetch_again(bus: Bus, job_id: UUID) -> None:
    """Have a job fetched and imported again.

    Raises:
        Refused: intake cannot replay it.
        IntakeUnavailable: intake does not answer, or cannot now.
        BrokerUnavailable: the broker does not answer.
    """
    request = ReplayRequest(job_id=job_id, stage=Stage.FETCH, force=True, reason=_REASON)
    try:
        with translate_errors("request a replay from intake"):
            await call(bus.client, services.REPLAY, request, _TIMEOUT_S)
    except Refused as error:
        if error.code in _LATER:
            raise IntakeUnavailable(str(error)) from error
        raise
    except CallFailed as error:
        raise IntakeUnavailable(str(error)) from error
