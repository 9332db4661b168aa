"""The importer's read-only endpoints: SQL, ledger, coverage and days (``gexlake.api.services``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from nats.micro.service import Service
from pydantic import BaseModel

from gexlake.api import services
from gexlake.api.rpc import Refused, serve
from gexlake.api.services import (
    CoverageRequest,
    CoverageResponse,
    DaysRequest,
    DaysResponse,
    LedgerRequest,
    LedgerResponse,
    SqlRequest,
    SqlResponse,
)
from services.importer.errors import QueryRefused, StorageTrouble
from services.importer.lake.database import Lake
from services.importer.lake.statements import quoted
from services.importer.queries.sql import answer
from services.importer.settings import ImporterSettings

_AT_ONCE: Final = 4
log = structlog.get_logger(__name__)
Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Queries:
    """Answers requests from one lake; every method runs in a thread."""

    lake: Lake
    settings: ImporterSettings

    def sql(self, request: SqlRequest) -> SqlResponse:
        """Return the rows of one query."""
        return self._run(request.query, request.max_rows, request.timeout_s)

    def ledger(self, request: LedgerRequest) -> LedgerResponse:
        """Return ledger rows, the newest first."""
        where = _where(
            id=request.job_id, ticker=request.ticker, endpoint=request.endpoint, status=request.status
        )
        query = f"SELECT * FROM gex_history_queue{where} ORDER BY created_at DESC, id"  # noqa: S608 (quoted)
        found = self._run(query, request.limit, self.settings.sql_timeout_s)
        return LedgerResponse(rows=_objects(found), truncated=found.truncated)

    def coverage(self, request: CoverageRequest) -> CoverageResponse:
        """Return partitions with their rows, bytes and checksums."""
        where = _where(ticker=request.ticker, endpoint=request.endpoint)
        query = f"SELECT * FROM partitions{where} ORDER BY ticker, endpoint, trading_day"  # noqa: S608 (quoted)
        found = self._run(query, request.limit, self.settings.sql_timeout_s)
        return CoverageResponse(partitions=_objects(found), truncated=found.truncated)

    def days(self, request: DaysRequest) -> DaysResponse:
        """Return which partitions are held, and for which the vendor had no data, each since when."""
        # Not cut at the limit of rows that queries have: a day that is left out counts as missing.
        found = answer(
            self.lake,
            _known_days(request),
            max_rows=2 * services.MAX_DAYS,
            timeout_s=self.settings.sql_timeout_s,
        )
        return DaysResponse.model_validate({"days": _objects(found), "truncated": found.truncated})

    def _run(self, query: str, max_rows: int, timeout_s: float) -> SqlResponse:
        return answer(
            self.lake,
            query,
            max_rows=min(max_rows, self.settings.sql_max_rows),
            timeout_s=min(timeout_s, self.settings.sql_timeout_s),
        )


async def serve_queries(service: Service, queries: Queries) -> None:
    """Add the endpoints to the importer's micro service."""
    # Threads of their own: queries that take long must not keep an import waiting for one.
    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="query")

    def in_thread(handle: Callable[[Q], A]) -> Callable[[Q], Awaitable[A]]:
        async def run(request: Q) -> A:
            return await asyncio.get_running_loop().run_in_executor(threads, handle, request)

        return run

    await serve(service, services.SQL, in_thread(queries.sql), refusal=_refusal)
    await serve(service, services.LEDGER, in_thread(queries.ledger), refusal=_refusal)
    await serve(service, services.COVERAGE, in_thread(queries.coverage), refusal=_refusal)
    await serve(service, services.DAYS, in_thread(queries.days), refusal=_refusal)


def _refusal(error: Exception) -> Refused:
    match error:
        case QueryRefused():
            return Refused(error.code, str(error))
        case StorageTrouble():
            return Refused(503, str(error))
        case _:
            log.error("query_failed", exc_info=error)
            return Refused(500, "an unexpected error, which is in the importer's log")


def _known_days(request: DaysRequest) -> str:
    days = [day.isoformat() for day in request.days]
    wanted = (
        f"{_among('ticker', request.tickers)} AND {_among('endpoint', request.endpoints)} "
        f"AND {_among('trading_day', days)}"
    )
    # A job that was skipped because the lake held its file has that file's checksum.
    return (
        "SELECT ticker, endpoint, trading_day, 'held' AS standing, updated_at AS at "  # noqa: S608 (quoted)
        f"FROM partitions WHERE published AND {wanted} UNION ALL "
        "SELECT ticker, endpoint, trading_day, 'no_data', max(updated_at) "
        f"FROM gex_history_queue WHERE status = 'skipped' AND checksum IS NULL AND {wanted} GROUP BY ALL"
    )


def _objects(found: SqlResponse) -> tuple[dict[str, Any], ...]:
    names = [column.name for column in found.columns]
    return tuple(dict(zip(names, row, strict=True)) for row in found.rows)


def _where(**wanted: str | None) -> str:
    conditions = [f"{name} = {quoted(value)}" for name, value in wanted.items() if value is not None]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _among(name: str, values: Sequence[str]) -> str:
    return f"{name} IN ({', '.join(map(quoted, values))})" if values else "false"
