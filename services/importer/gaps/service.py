"""The importer's endpoints for minute bars over NATS (``gexlake.api.chronox.bars``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog
from nats.micro.service import Service
from pydantic import BaseModel

from gexlake.api.chronox import bars
from gexlake.api.chronox.bars import BarCoverageRequest, BarCoverageResponse
from gexlake.api.rpc import Refused, serve
from services.importer.errors import StorageTrouble
from services.importer.gaps.coverage import bar_coverage
from services.importer.lake.database import Lake

_AT_ONCE: Final = 2
log = structlog.get_logger(__name__)
Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class BarQueries:
    """Answers questions about minute bars and their gaps; every method runs in a thread.

    Args:
        lake: which.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def coverage(self, request: BarCoverageRequest) -> BarCoverageResponse:
        """Return what the lake has of symbols."""
        with self._lake.reading() as connection:
            return BarCoverageResponse(symbols=bar_coverage(connection, request))


async def serve_bar_queries(service: Service, queries: BarQueries) -> None:
    """Add the endpoints to the importer's micro service."""
    # Threads of their own: imports, live batches and other queries do not wait for them.
    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bar-query")

    def in_thread(handle: Callable[[Q], A]) -> Callable[[Q], Awaitable[A]]:
        async def run(request: Q) -> A:
            return await asyncio.get_running_loop().run_in_executor(threads, handle, request)

        return run

    await serve(service, bars.BAR_COVERAGE, in_thread(queries.coverage), refusal=_refusal)


def _refusal(error: Exception) -> Refused:
    if isinstance(error, StorageTrouble):
        return Refused(503, str(error))
    log.error("bar_query_failed", exc_info=error)
    return Refused(500, "an unexpected error, which is in the importer's log")
