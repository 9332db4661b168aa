"""Requests to intake's endpoints of minute bars over NATS."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import BaseModel

from gexlake.api.chronox.runs import (
    CHECK_STREAMS,
    DETECT_GAPS,
    REFRESH_SNAPSHOTS,
    CheckStreams,
    DetectGaps,
    GapsDetected,
    RefreshSnapshots,
    SnapshotsRefreshed,
    StreamsChecked,
)
from gexlake.api.rpc import CallFailed, Endpoint, NoService, Refused, call
from services.janitor.errors import IntakeRefused, IntakeUnavailable
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable

TIMEOUT_S: Final = 30.0
GAPS_TIMEOUT_S: Final = 300.0
"""The minutes of many years are compared, and a job is queued for each fill."""
_TOO_MANY_REQUESTS: Final = 429

Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class IntakeBars:
    """Requests of the duties about minute bars."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def detect_gaps(self) -> GapsDetected:
        """Have missing minutes of all enabled symbols found, and requests for them queued.

        Raises:
            IntakeUnavailable: intake does not answer, or cannot do it now.
            IntakeRefused: it refuses.
        """
        return await self._ask("look for gaps", DETECT_GAPS, DetectGaps(), GAPS_TIMEOUT_S)

    async def refresh_snapshots(self) -> SnapshotsRefreshed:
        """Have the snapshots of all symbols with that phase fetched.

        Raises:
            IntakeUnavailable: intake does not answer, or cannot do it now.
            IntakeRefused: it refuses.
        """
        return await self._ask("refresh snapshots", REFRESH_SNAPSHOTS, RefreshSnapshots(), TIMEOUT_S)

    async def check_streams(self) -> StreamsChecked:
        """Have the times of streamed bars compared with the clock.

        Raises:
            IntakeUnavailable: intake does not answer, or cannot do it now.
            IntakeRefused: it refuses.
        """
        return await self._ask("check the streams", CHECK_STREAMS, CheckStreams(), TIMEOUT_S)

    async def _ask(self, what: str, endpoint: Endpoint[Q, A], request: Q, timeout_s: float) -> A:
        try:
            with translate_errors(f"ask intake to {what}"):
                return await call(self._bus.client, endpoint, request, timeout_s)
        except Refused as error:
            if 400 <= error.code < 500 and error.code != _TOO_MANY_REQUESTS:
                raise IntakeRefused(what, str(error)) from error
            raise IntakeUnavailable(str(error), what) from error
        except NoService as error:
            raise IntakeUnavailable("it is not running", what) from error
        except (CallFailed, BrokerUnavailable) as error:
            raise IntakeUnavailable(str(error), what) from error
