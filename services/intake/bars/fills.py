"""Find missing minutes of registered symbols, and queue the jobs that ask the vendor for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from gexlake.api.chronox.bars import MAX_DAYS, DetectGapsRequest, Fill, TradingDay
from gexlake.api.chronox.runs import DetectGaps, GapsDetected
from gexlake.api.jobs import Priority
from services.intake.bars.lake import LakeBars
from services.intake.bars.metrics import GapMetrics
from services.intake.bars.under_way import UnderWay
from services.intake.bars.vendor_key import no_key_anywhere
from services.intake.errors import Unprocessable
from services.intake.history.commands import JobCommands
from services.intake.history.request import HistoryRequest
from services.intake.market_days import days_between, early_close, why_closed
from services.intake.priorities.facts import Origin
from services.intake.settings import IntakeSettings
from services.intake.state.projection import Projection
from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.store import no_symbol
from shared.bus.requests import Channel
from shared.gexbot.trading_day import NEW_YORK
from shared.massive.resources import MinuteBars

PURPOSE: Final = "purpose"
GAP: Final = "gap"
"""The metadata by which the request for a fill is known: ``{"purpose": "gap"}``."""
_AT_ONCE: Final = 16
_MAX_FILLS: Final = 5000
"""In one response of the importer."""
log = structlog.get_logger(__name__)


class GapFills:
    """Has gaps found and filled.

    Args:
        settings: of intake.
        symbols: the registry.
        projection: what is known of jobs.
        commands: queues jobs.
        lake: answers about bars.
        metrics: gets what was found.
        clock: the present moment.
    """

    def __init__(
        self,
        settings: IntakeSettings,
        symbols: KnownSymbols,
        projection: Projection,
        commands: JobCommands,
        lake: LakeBars,
        metrics: GapMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._symbols = symbols
        self._projection = projection
        self._commands = commands
        self._lake = lake
        self._metrics = metrics
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def detect(self, asked: DetectGaps) -> GapsDetected:
        """Find the gaps of symbols, and queue fills as far as the limit a day allows; none without a key.

        Raises:
            NotFound: a named symbol is not registered.
            Unprocessable: the range has too many days.
            NotReady: the importer does not answer, or intake does not know yet what there is.
            BrokerUnavailable: no acks in time; what is not queued is asked for again the next day.
            StreamFull: JOBS is at its byte cap; likewise.
        """
        self._symbols.require_read()
        self._projection.require_rebuilt()
        symbols, days = self._symbols_of(asked), self._days_of(asked)
        is_filled = asked.fill and not no_key_anywhere(self._projection.heartbeats(), self._clock())
        if asked.fill and not is_filled:
            log.warning("gaps_not_filled", reason="no fetcher has a key of Massive: set POLYGON_API_KEY")
        async with self._one_at_a_time:
            found = await self._lake.detect(
                DetectGapsRequest(
                    symbols=symbols,
                    days=tuple(TradingDay(day=day, closes_early=bool(early_close(day))) for day in days),
                    extended=self._settings.bars_extended_hours,
                    max_fills=min(self._remaining(), _MAX_FILLS) if is_filled else 0,
                    from_the_start=asked.first is not None,
                    again=is_filled and bool(asked.symbols),
                )
            )
            self._metrics.found(found)
            queued = await self._queue(found.fills)
        result = GapsDetected(
            symbols=len(symbols),
            sessions=len(days),
            detected=found.detected,
            resolved=found.resolved,
            open=found.open,
            missing_minutes=found.missing_minutes,
            fills_queued=queued,
            fills_left=found.fills_left,
            seconds=found.seconds,
        )
        log.info("gap_detection_completed", **result.model_dump())
        return result

    def _symbols_of(self, asked: DetectGaps) -> tuple[str, ...]:
        for symbol in asked.symbols:
            if self._symbols.get(symbol) is None:
                raise no_symbol(symbol)
        enabled = (found.symbol.symbol for found in self._symbols.all if found.symbol.enabled)
        return tuple(dict.fromkeys(asked.symbols)) or tuple(enabled)

    def _days_of(self, asked: DetectGaps) -> list[date]:
        """Return the trading days of a request that are over."""
        today = self._clock().astimezone(NEW_YORK).date()
        yesterday = today - timedelta(days=1)
        last = min(asked.last or yesterday, yesterday)
        first = asked.first or today - timedelta(days=self._settings.bars_history_days)
        if (last - first).days >= MAX_DAYS:
            raise Unprocessable(
                "first", "days", f"first: {first} to {last} are more than {MAX_DAYS} days: name a later one"
            )
        return [day for day in days_between(first, last) if why_closed(day) is None]

    def _remaining(self) -> int:
        """Return how many fills may still be queued today (UTC)."""
        today = self._clock().astimezone(UTC).date()
        queued = sum(
            1
            for state in self._projection.requests
            if (request := state.request) is not None
            and request.channel is Channel.CHRONOX
            and request.metadata.get(PURPOSE) == GAP
            and request.submitted_at.astimezone(UTC).date() == today
        )
        return max(0, self._settings.bars_max_fills_a_day - queued)

    async def _queue(self, fills: Iterable[Fill]) -> int:
        """Queue fills that unfinished jobs do not cover, and return how many."""
        under_way = UnderWay.of(self._projection.jobs, self._settings.massive)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def queue(fill: Fill) -> bool:
            async with slots:
                accepted = await self._commands.accept(self._request_of(fill))
                return accepted.is_new

        wanted = [fill for fill in fills if not under_way.covers(fill)]
        results = await asyncio.gather(*map(queue, wanted), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(result is True for result in results)

    def _request_of(self, fill: Fill) -> HistoryRequest:
        bars = MinuteBars(fill.symbol, fill.first, fill.last)
        return HistoryRequest(
            ticker=bars.ticker,
            endpoint=bars.endpoint,
            trading_day=None,
            base_url=self._settings.massive.base_url_of(bars),
            url=self._settings.massive.url_of(bars),
            priority=Priority.LOW,
            origin=Origin(Channel.CHRONOX, metadata={PURPOSE: GAP}, reason="fills a gap of minute bars"),
        )
