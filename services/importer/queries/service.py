"""The importer's read-only endpoints: ``gex.svc.lake.ledger``, ``.coverage``, ``.days`` and ``.sql``.

Requests and replies are JSON. A request that is refused is answered with the error headers of NATS micro
services (``Nats-Service-Error``, ``Nats-Service-Error-Code``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, TypeVar

import structlog
from nats.micro.request import Request
from nats.micro.service import Service
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.importer.errors import QueryRefused, StorageTrouble
from services.importer.lake.database import Lake
from services.importer.lake.statements import quoted
from services.importer.queries.sql import Answer, answer
from services.importer.settings import ImporterSettings
from shared.bus.subjects import lake as lake_subject

_AT_ONCE: Final = 4
_MAX_DAYS: Final = 1000
log = structlog.get_logger(__name__)


class Strict(BaseModel):
    """A request; a field that is not known is an error of the sender."""

    model_config = ConfigDict(extra="forbid", frozen=True)


R = TypeVar("R", bound=Strict)


class SqlRequest(Strict):
    """One query that reads."""

    query: str = Field(min_length=1)
    max_rows: int = Field(1000, ge=1)
    timeout_s: float = Field(10.0, gt=0)


class LedgerRequest(Strict):
    """Which ledger rows; the newest first."""

    job_id: str | None = None
    ticker: str | None = None
    endpoint: str | None = None
    status: str | None = None
    limit: int = Field(100, ge=1, le=1000)


class CoverageRequest(Strict):
    """Which partitions."""

    ticker: str | None = None
    endpoint: str | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class DaysRequest(Strict):
    """Which partitions: every day of every ticker and endpoint."""

    tickers: tuple[str, ...] = Field(max_length=_MAX_DAYS)
    endpoints: tuple[str, ...] = Field(max_length=_MAX_DAYS)
    days: tuple[date, ...] = Field(max_length=_MAX_DAYS)


@dataclass(frozen=True)
class Queries:
    """Answers requests from one lake."""

    lake: Lake
    settings: ImporterSettings

    def sql(self, data: bytes) -> dict[str, Any]:
        """Answer a query as ``{columns, rows, truncated, seconds}``."""
        request = _parse(SqlRequest, data)
        return asdict(self._run(request.query, request.max_rows, request.timeout_s))

    def ledger(self, data: bytes) -> dict[str, Any]:
        """Answer ledger rows as ``{rows: [{column: value}], truncated}``."""
        request = _parse(LedgerRequest, data)
        where = _where(
            id=request.job_id, ticker=request.ticker, endpoint=request.endpoint, status=request.status
        )
        query = f"SELECT * FROM gex_history_queue{where} ORDER BY created_at DESC, id"  # noqa: S608 (quoted)
        return _objects("rows", self._run(query, request.limit, self.settings.sql_timeout_s))

    def coverage(self, data: bytes) -> dict[str, Any]:
        """Answer partitions with their rows, bytes and checksums, as ``ledger`` does."""
        request = _parse(CoverageRequest, data)
        where = _where(ticker=request.ticker, endpoint=request.endpoint)
        query = f"SELECT * FROM partitions{where} ORDER BY ticker, endpoint, trading_day"  # noqa: S608 (quoted)
        return _objects("partitions", self._run(query, request.limit, self.settings.sql_timeout_s))

    def days(self, data: bytes) -> dict[str, Any]:
        """Answer which partitions are held, and which the vendor had no data for: standing, and since when.

        Those that are neither are left out; a partition may be both.
        """
        query = _known_days(_parse(DaysRequest, data))
        # The limit of rows that queries have is not for this one: a day that is left out counts as missing.
        found = answer(self.lake, query, max_rows=2 * _MAX_DAYS, timeout_s=self.settings.sql_timeout_s)
        return _objects("days", found)

    def _run(self, query: str, max_rows: int, timeout_s: float) -> Answer:
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
    under_way: set[asyncio.Task[None]] = set()
    endpoints = ("sql", queries.sql), ("ledger", queries.ledger), ("coverage", queries.coverage)
    for name, answer_to in (*endpoints, ("days", queries.days)):

        async def start(request: Request, answer_to: Callable[[bytes], dict[str, Any]] = answer_to) -> None:
            task = asyncio.create_task(_respond(request, answer_to, threads))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

        await service.add_endpoint(name=name, subject=lake_subject(name), handler=start)


async def _respond(
    request: Request, answer_to: Callable[[bytes], dict[str, Any]], threads: ThreadPoolExecutor
) -> None:
    try:
        found = await asyncio.get_running_loop().run_in_executor(threads, answer_to, request.data)
        await request.respond(json.dumps(found).encode())
    except QueryRefused as error:
        await _refuse(request, error.code, str(error))
    except StorageTrouble as error:
        await _refuse(request, 503, str(error))
    except Exception:
        log.exception("query_failed", subject=request.subject)
        await _refuse(request, 500, "an unexpected error, which is in the importer's log")


async def _refuse(request: Request, code: int, problem: str) -> None:
    # A header is one line; the whole text is in the body.
    body = json.dumps({"error": {"message": problem}}).encode()
    await request.respond_error(str(code), " ".join(problem.split()), body)


def _parse(kind: type[R], data: bytes) -> R:
    try:
        return kind.model_validate_json(data or b"{}")
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "request"
        raise QueryRefused(f"{place}: {problem['msg']}") from error


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


def _objects(name: str, found: Answer) -> dict[str, Any]:
    names = [column["name"] for column in found.columns]
    rows = [dict(zip(names, row, strict=True)) for row in found.rows]
    return {name: rows, "truncated": found.truncated}


def _where(**wanted: str | None) -> str:
    conditions = [f"{name} = {quoted(value)}" for name, value in wanted.items() if value is not None]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _among(name: str, values: Sequence[str]) -> str:
    return f"{name} IN ({', '.join(map(quoted, values))})" if values else "false"
