"""The importer's read-only endpoints over NATS (``gexlake.api.services``)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Final, TypeVar

import structlog
from nats.aio.client import Client
from nats.micro.service import Service
from pydantic import BaseModel

from gexlake.api import services
from gexlake.api.lake import Column, ExportRequest, SqlRequest, SqlResponse
from gexlake.api.rpc import Refused, serve
from gexlake.api.rpc_stream import serve_stream
from gexlake.api.services import (
    CoverageRequest,
    CoverageResponse,
    DaysRequest,
    DaysResponse,
    LedgerRequest,
    LedgerResponse,
    VerifyRequest,
    VerifyResponse,
)
from services.importer.errors import QueryRefused, StorageTrouble
from services.importer.lake.database import Lake
from services.importer.lake.live.files import LiveView
from services.importer.lake.live.units import Check
from services.importer.lake.statements import quoted
from services.importer.queries.catalog import Catalog
from services.importer.queries.lake_query import answer
from services.importer.queries.pool import WorkerPool
from services.importer.queries.rows import MAX_ANSWER_BYTES, Limits, Rows
from services.importer.queries.verify import Verification
from services.importer.queries.worker import Format, Query
from services.importer.settings import ImporterSettings

_AT_ONCE: Final = 4
log = structlog.get_logger(__name__)
Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class SqlQueries:
    """Queries of users, each in a process of its own, which sees the catalog and not the database.

    Args:
        lake: what is queried.
        settings: the limits of queries.
    """

    def __init__(self, lake: Lake, settings: ImporterSettings) -> None:
        self.pool = WorkerPool(settings.sql_workers, lake.paths.scratch)
        self._catalog = Catalog(lake)
        self._live_files = lake.live_files
        self._paths = lake.paths
        self._settings = settings

    async def start(self) -> None:
        """Prepare what the first query would have to wait for."""
        await self.pool.start()
        try:
            await asyncio.to_thread(self._catalog.current, "")
        except StorageTrouble as error:
            # A full disk must not keep the importer from starting; the first query tries again.
            log.warning("catalog_deferred", error=str(error))

    async def sql(self, request: SqlRequest) -> SqlResponse:
        """Return the rows of one query, as far as the limits allow.

        Raises:
            QueryRefused: it cannot be answered.
        """
        began = asyncio.get_running_loop().time()
        limits = Limits(min(request.max_rows, self._settings.sql_max_rows))
        with self._live_files.lease() as live:
            query = await self._query(request.query, Format.ROWS, limits, live)
            result = await self.pool.run(query, min(request.timeout_s, self._settings.sql_timeout_s))
        columns, rows = json.loads(result.content)
        return SqlResponse(
            columns=tuple(Column(name=name, type=kind) for name, kind in columns),
            rows=rows,
            truncated=result.truncated,
            seconds=round(asyncio.get_running_loop().time() - began, 6),
        )

    async def export(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        """Yield the whole result of one query in chunks.

        Raises:
            QueryRefused: it cannot be answered; perhaps after the first chunks.
        """
        timeout_s = min(request.timeout_s, self._settings.export_timeout_s)
        with self._live_files.lease() as live:
            query = await self._query(request.query, Format(request.format), Limits(0), live)
            async with aclosing(self.pool.stream(query, timeout_s)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _query(self, text: str, form: Format, limits: Limits, live: LiveView) -> Query:
        catalog = await asyncio.to_thread(self._catalog.current, text, live)
        paths, settings = self._paths, self._settings
        return Query(
            text=text,
            form=form,
            limits=limits,
            catalog=catalog,
            variables=self._catalog.variables(live),
            folders=(
                *paths.staging_folders,
                *(paths.parquet_root, paths.webhooks_root, paths.records_root),
                *(paths.chains_root, paths.archived_jobs_root, paths.bars_root, paths.catalog, paths.live),
            ),
            scratch=Path(),
            memory_mb=settings.query_memory_mb,
            spill_mb=settings.sql_spill_mb,
            threads=settings.sql_threads,
        )


class LakeQueries:
    """The importer's own queries on the database; every method runs in a thread."""

    def __init__(self, lake: Lake, settings: ImporterSettings) -> None:
        self._lake = lake
        self._settings = settings

    def ledger(self, request: LedgerRequest) -> LedgerResponse:
        """Return rows of the ledger and the archive, the newest first."""
        where = _where(
            id=request.job_id, ticker=request.ticker, endpoint=request.endpoint, status=request.status
        )
        query = f"SELECT * FROM all_jobs{where} ORDER BY created_at DESC, id"  # noqa: S608 (quoted)
        found = self._answer(query, request.limit)
        return LedgerResponse(rows=found.objects(), truncated=found.truncated)

    def coverage(self, request: CoverageRequest) -> CoverageResponse:
        """Return partitions with their rows, bytes and checksums."""
        where = _where(ticker=request.ticker, endpoint=request.endpoint)
        query = f"SELECT * FROM partitions{where} ORDER BY ticker, endpoint, trading_day"  # noqa: S608 (quoted)
        found = self._answer(query, request.limit)
        return CoverageResponse(partitions=found.objects(), truncated=found.truncated)

    def days(self, request: DaysRequest) -> DaysResponse:
        """Return which partitions are held, and for which the vendor had no data, each since when."""
        # Not cut at the limit of rows that queries have: a day that is left out counts as missing.
        found = answer(
            self._lake,
            _known_days(request),
            Limits(2 * services.MAX_DAYS, MAX_ANSWER_BYTES),
            self._settings.sql_timeout_s,
        )
        return DaysResponse.model_validate({"days": found.objects(), "truncated": found.truncated})

    def verification(self, request: VerifyRequest) -> Verification:
        """Return the comparison of partitions in the database with their files."""
        return Verification(self._lake, request)

    def _answer(self, query: str, max_rows: int) -> Rows:
        limits = Limits(min(max_rows, self._settings.sql_max_rows))
        return answer(self._lake, query, limits, self._settings.sql_timeout_s)


async def serve_queries(
    service: Service,
    client: Client,
    sql: SqlQueries,
    own: LakeQueries,
    export: Callable[[Check], Awaitable[object]],
) -> None:
    """Add the endpoints to the importer's micro service.

    Args:
        service: the micro service.
        client: its connection.
        sql: the queries of users.
        own: the importer's own.
        export: exports live rows, and has every partition and hour with such rows checked.
    """
    # Threads of their own: queries that take long must not keep an import waiting for one.
    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lake-query")

    def in_thread(handle: Callable[[Q], A]) -> Callable[[Q], Awaitable[A]]:
        async def run(request: Q) -> A:
            return await asyncio.get_running_loop().run_in_executor(threads, handle, request)

        return run

    async def verify(request: VerifyRequest) -> VerifyResponse:
        verification = own.verification(request)
        await export(verification)
        return await asyncio.get_running_loop().run_in_executor(threads, verification.compare_others)

    await serve(service, services.SQL, sql.sql, refusal=_refusal)
    await serve_stream(service, client, services.EXPORT, sql.export, refusal=_refusal)
    await serve(service, services.LEDGER, in_thread(own.ledger), refusal=_refusal)
    await serve(service, services.COVERAGE, in_thread(own.coverage), refusal=_refusal)
    await serve(service, services.DAYS, in_thread(own.days), refusal=_refusal)
    await serve(service, services.VERIFY, verify, refusal=_refusal)


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


def _where(**wanted: str | None) -> str:
    conditions = [f"{name} = {quoted(value)}" for name, value in wanted.items() if value is not None]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _among(name: str, values: Sequence[str]) -> str:
    return f"{name} IN ({', '.join(map(quoted, values))})" if values else "false"
