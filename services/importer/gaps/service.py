"""The endpoints for minute bars over NATS (``gexlake.api.chronox.bars``), and the gaps that they keep."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

import duckdb
import structlog
from nats.micro.service import Service
from pydantic import BaseModel

from gexlake.api.chronox import bars
from gexlake.api.chronox.bars import (
    BarCoverageRequest,
    BarCoverageResponse,
    DetectGapsRequest,
    DetectGapsResponse,
    GapsRequest,
    GapsResponse,
    GapStatus,
)
from gexlake.api.rpc import Refused, serve
from services.importer.errors import StorageTrouble
from services.importer.gaps import table
from services.importer.gaps.bar_jobs import BarJobs
from services.importer.gaps.coverage import bar_coverage
from services.importer.gaps.detection import Changes, compare
from services.importer.gaps.fills import merged
from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from shared.job_states import JobState

_AT_ONCE: Final = 2
_RETRY_S: Final = 5.0
log = structlog.get_logger(__name__)
Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class BarQueries:
    """Answers questions about minute bars, and keeps the table of their gaps.

    Args:
        lake: which.
        clock: the present moment.
    """

    def __init__(self, lake: Lake, clock: Callable[[], datetime]) -> None:
        self._lake = lake
        self._clock = clock
        self._jobs = BarJobs()
        self._keeping = threading.Lock()
        """Held by whoever changes the table of gaps."""
        self._is_refused = asyncio.Event()

    def take(self, state: JobState) -> None:
        """Take in the state of a job."""
        if self._jobs.take(state):
            self._is_refused.set()

    def coverage(self, request: BarCoverageRequest) -> BarCoverageResponse:
        """Return what the lake has of symbols; called in a thread."""
        with self._lake.reading() as connection:
            return BarCoverageResponse(symbols=bar_coverage(connection, request))

    def gaps(self, request: GapsRequest) -> GapsResponse:
        """Return gaps, the oldest first; called in a thread."""
        with self._lake.reading() as connection:
            return table.listed(connection, request)

    def detect(self, request: DetectGapsRequest) -> DetectGapsResponse:
        """Bring the table of gaps up to date, and return what to ask of the vendor; called in a thread.

        Imports and live batches go on while bars are compared; batches wait for the writing.
        """
        began, now = time.monotonic(), self._clock()
        with self._keeping:
            with self._lake.reading() as connection, transaction(connection):
                changes = compare(connection, request, self._jobs.first_days, now)
            with self._lake.live_writing(()) as connection, transaction(connection):
                response = self._write(connection, request, changes, now)
        response = response.model_copy(update={"seconds": round(time.monotonic() - began, 3)})
        log.info(
            "gaps_detected", **response.model_dump(mode="json", exclude={"fills"}), fills=len(response.fills)
        )
        return response

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        request: DetectGapsRequest,
        changes: Changes | None,
        now: datetime,
    ) -> DetectGapsResponse:
        resolved = table.apply(connection, changes, now) if changes else 0
        if request.again:
            table.reopen(connection, request.symbols)
        else:
            table.refuse(connection, self._jobs.refusals, now)
            table.give_up(connection, now)
        before = now if request.again else now - table.ASK_AGAIN_AFTER
        days = table.days_to_ask(connection, request, before)
        fills = merged(days)
        asked = fills[: request.max_fills]
        table.mark_asked(connection, [(fill.symbol, fill.first, fill.last) for fill in asked], now)
        totals = table.totals(connection)
        return DetectGapsResponse(
            detected=changes.detected if changes else 0,
            open=totals[GapStatus.OPEN][0],
            missing_minutes=totals[GapStatus.OPEN][1],
            resolved=resolved,
            fills=tuple(asked),
            fills_left=len(fills) - len(asked),
            by_status={status: count for status, (count, _) in totals.items()},
            truncated=changes is not None and changes.truncated,
            seconds=0,
        )

    async def keep_refusals(self, is_known: asyncio.Event) -> None:
        """Mark the gaps that the vendor refuses to fill, forever.

        Args:
            is_known: set once all events that existed at the start were taken in.
        """
        await is_known.wait()
        while True:
            await self._is_refused.wait()
            self._is_refused.clear()
            try:
                await asyncio.to_thread(self._refuse)
            except (StorageTrouble, duckdb.Error) as error:
                log.warning("gaps_not_marked", error=str(error).partition("\n")[0], retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
                self._is_refused.set()

    def _refuse(self) -> None:
        with self._keeping, self._lake.live_writing(()) as connection, transaction(connection):
            table.refuse(connection, self._jobs.refusals, self._clock())


async def serve_bar_queries(service: Service, queries: BarQueries) -> None:
    """Add the endpoints to the importer's micro service."""
    # Threads of their own: imports, live batches and other queries do not wait for them.
    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bar-query")

    def in_thread(handle: Callable[[Q], A]) -> Callable[[Q], Awaitable[A]]:
        async def run(request: Q) -> A:
            return await asyncio.get_running_loop().run_in_executor(threads, handle, request)

        return run

    await serve(service, bars.BAR_COVERAGE, in_thread(queries.coverage), refusal=_refusal)
    await serve(service, bars.GAPS, in_thread(queries.gaps), refusal=_refusal)
    await serve(service, bars.DETECT_GAPS, in_thread(queries.detect), refusal=_refusal)


def _refusal(error: Exception) -> Refused:
    if isinstance(error, StorageTrouble):
        return Refused(503, str(error))
    log.error("bar_query_failed", exc_info=error)
    return Refused(500, "an unexpected error, which is in the importer's log")
