"""Requests to intake's replay endpoint over NATS."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from gexlake.api import services
from gexlake.api.rpc import CallFailed, NoService, Refused, UnreadableResponse, call
from gexlake.api.services import ReplayRequest
from services.janitor.errors import IntakeUnavailable, ReplayRefused
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable

TIMEOUT_S: Final = 10.0
_TOO_MANY_REQUESTS: Final = 429


class IntakeReplays:
    """Requests replays from intake."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def replay(self, job_id: UUID) -> None:
        """Request that a job's command is published again.

        Raises:
            IntakeUnavailable: intake does not answer, or cannot replay now.
            ReplayRefused: intake refuses, now or later.
        """
        try:
            with translate_errors("request a replay from intake"):
                await call(self._bus.client, services.REPLAY, ReplayRequest(job_id=job_id), TIMEOUT_S)
        except UnreadableResponse:
            return  # the command is published; only its description cannot be read
        except BrokerUnavailable as error:
            raise IntakeUnavailable("no answer in time") from error
        except Refused as error:
            if 400 <= error.code < 500 and error.code != _TOO_MANY_REQUESTS:
                raise ReplayRefused(job_id, error.code, str(error)) from error
            raise IntakeUnavailable(str(error)) from error
        except CallFailed as error:
            absent = isinstance(error, NoService)
            raise IntakeUnavailable("it is not running" if absent else "no answer in time") from error
