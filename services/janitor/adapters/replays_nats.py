"""Intake's replay endpoint, asked over NATS."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID

from nats.errors import NoRespondersError
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER

from services.janitor.errors import IntakeUnavailable, ReplayRefused
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable

TIMEOUT_S: Final = 10.0


class IntakeReplays:
    """Asks intake to replay a job."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def replay(self, job_id: UUID) -> None:
        """Have a job's command published again.

        Raises:
            IntakeUnavailable: intake is not there, or could not do it now.
            ReplayRefused: it will not.
        """
        request = json.dumps({"job_id": str(job_id)}).encode()
        try:
            with translate_errors("ask intake for a replay"):
                answer = await self._bus.client.request(subjects.REPLAY, request, timeout=TIMEOUT_S)
        except BrokerUnavailable as error:
            absent = isinstance(error.__cause__, NoRespondersError)
            raise IntakeUnavailable("it is not running" if absent else "no answer in time") from error
        headers = answer.headers or {}
        if ERROR_HEADER in headers or ERROR_CODE_HEADER in headers:
            raise _refusal(job_id, headers)


def _refusal(job_id: UUID, headers: dict[str, str]) -> IntakeUnavailable | ReplayRefused:
    reason = headers.get(ERROR_HEADER, "no reason given")
    code = headers.get(ERROR_CODE_HEADER, "")
    if code.isdecimal() and 400 <= int(code) < 500 and code != "429":
        return ReplayRefused(job_id, int(code), reason)
    return IntakeUnavailable(reason)
