"""What the lake has of symbols and days, asked of the importer over NATS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from gexlake.api.chronox.bars import BAR_COVERAGE, BarCoverageRequest, DayRange, SymbolCoverage
from gexlake.api.rpc import CallFailed, NoResponse, NoService, call
from services.intake.errors import NotReady
from services.intake.state.broker_link import BrokerLink
from shared.bus.connection import translate_errors

_ANSWER_WITHIN_S: Final = 15.0
_SYMBOLS: Final = 250
"""How many one request names at most."""
_SYMBOL_DAYS: Final = 250_000
"""How many days of symbols one request names: a holiday ends a range, and a response has at most 1 MB."""
_AT_ONCE: Final = 4


class BarCoverage:
    """Asks which days of symbols are complete.

    Args:
        link: the connection.
    """

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def of(self, symbols: Sequence[str], days: DayRange) -> Mapping[str, SymbolCoverage]:
        """Return what the lake has, by symbol.

        Raises:
            NotReady: the importer does not answer.
            BrokerUnavailable: the connection was lost.
        """
        found: dict[str, SymbolCoverage] = {}
        at_once = min(_SYMBOLS, max(1, _SYMBOL_DAYS // max(1, (days.last - days.first).days)))
        for start in range(0, len(symbols), at_once):
            part = tuple(symbols[start : start + at_once])
            request = BarCoverageRequest(symbols=part, first=days.first, last=days.last)
            async with self._slots:
                found |= await self._ask(request)
        return found

    async def _ask(self, request: BarCoverageRequest) -> dict[str, SymbolCoverage]:
        with translate_errors("ask the importer which bars it has"):
            try:
                answer = await call(self._link.require().client, BAR_COVERAGE, request, _ANSWER_WITHIN_S)
            except CallFailed as error:
                raise _not_ready(error) from error
        return {covered.symbol: covered for covered in answer.symbols}


def _not_ready(error: CallFailed) -> NotReady:
    match error:
        case NoService():
            why = "is it running?"
        case NoResponse():
            why = f"waited {_ANSWER_WITHIN_S:g} s"
        case _:
            why = str(error)
    return NotReady("importer", f"the importer does not say which bars the lake has ({why})")
