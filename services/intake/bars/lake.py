"""Questions about minute bars and their gaps, asked of the importer over NATS."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

from nats.errors import Error as NatsError
from pydantic import BaseModel

from gexlake.api import rpc
from gexlake.api.chronox.bars import (
    BAR_COVERAGE,
    DETECT_GAPS,
    GAPS,
    BarCoverageRequest,
    DayRange,
    DetectGapsRequest,
    DetectGapsResponse,
    GapsRequest,
    GapsResponse,
    GapStatus,
)
from gexlake.api.chronox.symbols import BarsOfSymbol
from gexlake.api.rpc import CallFailed, Endpoint, NoResponse, NoService, call
from services.intake.errors import NotReady, QueryFailed
from services.intake.market_days import days_between, why_closed
from services.intake.state.broker_link import BrokerLink
from shared.bus.connection import translate_errors
from shared.errors import BrokerUnavailable

_ANSWER_WITHIN_S: Final = 10.0
_DETECT_WITHIN_S: Final = 120.0
_SHORTLY_S: Final = 1.0
Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class LakeBars:
    """Asks the importer about minute bars.

    Args:
        link: the connection.
    """

    def __init__(self, link: BrokerLink) -> None:
        self._link = link

    async def gaps(self, request: GapsRequest) -> GapsResponse:
        """Return gaps, the oldest first.

        Raises:
            NotReady: the importer does not answer.
            QueryFailed: it refuses.
            BrokerUnavailable: the connection was lost.
        """
        return await self._ask(GAPS, request, _ANSWER_WITHIN_S)

    async def detect(self, request: DetectGapsRequest) -> DetectGapsResponse:
        """Have the table of gaps brought up to date.

        Raises:
            GexlakeError: as ``gaps``.
        """
        return await self._ask(DETECT_GAPS, request, _DETECT_WITHIN_S)

    async def of_symbol(self, symbol: str, days: DayRange) -> BarsOfSymbol | None:
        """Return what the lake has of a symbol; None if the importer does not answer within a second.

        Args:
            symbol: which.
            days: the days in which bars and answers count.
        """
        request = BarCoverageRequest(symbols=(symbol,), first=days.first, last=days.last)
        open_gaps = GapsRequest(symbol=symbol, status=GapStatus.OPEN, limit=1)
        try:
            coverage, gaps = await asyncio.gather(
                self._ask(BAR_COVERAGE, request, _SHORTLY_S), self._ask(GAPS, open_gaps, _SHORTLY_S)
            )
        except (NotReady, QueryFailed, BrokerUnavailable, NatsError):
            return None
        covered = coverage.symbols[0]
        return BarsOfSymbol(
            bars=covered.bars,
            first_bar=covered.first_bar,
            last_bar=covered.last_bar,
            complete_days=sum(map(_trading_days, covered.complete)),
            open_gaps=gaps.total_count,
            missing_minutes=gaps.missing_minutes,
        )

    async def _ask(self, endpoint: Endpoint[Q, A], request: Q, within_s: float) -> A:
        with translate_errors("ask the importer about minute bars"):
            try:
                return await call(self._link.require().client, endpoint, request, within_s)
            except rpc.Refused as error:
                raise QueryFailed(error.code, str(error)) from error
            except CallFailed as error:
                raise _not_ready(error, within_s) from error


def _trading_days(days: DayRange) -> int:
    return sum(why_closed(day) is None for day in days_between(days.first, days.last))


def _not_ready(error: CallFailed, waited_s: float) -> NotReady:
    match error:
        case NoService():
            why = "is it running?"
        case NoResponse():
            why = f"waited {waited_s:g} s"
        case _:
            why = f"its response cannot be read: {error}"
    return NotReady("importer", f"the importer does not answer about minute bars ({why}): try again")
