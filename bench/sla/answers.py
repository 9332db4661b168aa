"""Post requests to intake, and read what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import httpx

from bench.measure.processes import BenchFailed
from bench.sla.workload import Requested
from gexlake.api.jobs import JobsPage, JobView, Priority
from gexlake.api.priorities.requests import PriorityAccepted
from gexlake.api.system import StatusView

PATH: Final = "/api/v1/ingest/priority"
_CLIENTS: Final = 16
_PAGE: Final = 500
_TIMEOUT_S: Final = 30.0
_BUSY_FOR_S: Final = 60.0
_PAUSE_S: Final = 1.0
QUERY_S: Final = 300.0


@dataclass(frozen=True)
class Accepted:
    """The answer to a request.

    Args:
        requested: what was requested.
        job_id: of its job.
        estimate_s: the seconds that it takes, as the answer said.
    """

    requested: Requested
    job_id: UUID
    estimate_s: float


class Intake:
    """The clients of a running system.

    Args:
        url: of intake.
        vendor: the base URL of the files.
        priority_of: the level that a request is made with.
    """

    def __init__(self, url: str, vendor: str, priority_of: Callable[[Requested], Priority]) -> None:
        limits = httpx.Limits(max_connections=2 * _CLIENTS)
        self._http: Final = httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT_S, trust_env=False, limits=limits
        )
        self._vendor: Final = vendor
        self._priority_of: Final = priority_of

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(self, requested: Requested) -> Accepted:
        """Request a file.

        Raises:
            BenchFailed: intake refused it.
        """
        body = {
            "source_url": self._vendor + requested.name,
            "data_type": "historical",
            "market_symbol": requested.symbol,
            "priority": self._priority_of(requested),
            "reason": "measured",
        }
        answer = PriorityAccepted.model_validate(await self._answer("POST", PATH, json=body))
        return Accepted(requested, answer.job_id, answer.estimated_processing_time.total_seconds())

    async def post_all(self, flood: Iterable[Requested]) -> list[Accepted]:
        """Request files, several at a time."""
        waiting: Iterator[Requested] = iter(flood)
        accepted: list[Accepted] = []

        async def one_after_the_other() -> None:
            for requested in waiting:
                accepted.append(await self.post(requested))  # noqa: PERF401 (several tasks share the list)

        async with asyncio.TaskGroup() as clients:
            for _ in range(_CLIENTS):
                clients.create_task(one_after_the_other())
        return accepted

    async def job(self, job_id: UUID) -> JobView:
        """Return a job."""
        return JobView.model_validate(await self._answer("GET", f"/jobs/{job_id}"))

    async def jobs(self) -> list[JobView]:
        """Return all jobs."""
        found: list[JobView] = []
        path: str | None = f"/jobs?limit={_PAGE}"
        while path is not None:
            page = JobsPage.model_validate(await self._answer("GET", path))
            found += page.jobs
            path = page.next
        return found

    async def status(self) -> StatusView:
        """Return the state of the system."""
        return StatusView.model_validate(await self._answer("GET", "/status"))

    async def query(self, sql: str) -> list[list[Any]]:
        """Return the rows of a query."""
        body = {"query": sql, "timeout_s": QUERY_S}
        answer = await self._answer("POST", "/api/v1/sql", json=body, timeout=QUERY_S + _TIMEOUT_S)
        rows: list[list[Any]] = answer["rows"]
        return rows

    async def _answer(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Return the answer; a system that is too busy to answer in time is asked again, as clients do."""
        deadline = time.monotonic() + _BUSY_FOR_S
        while True:
            answer = await self._http.request(method, path, **options)
            if answer.is_success:
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                what = f"{answer.status_code}: {answer.text[:500]}"
                raise BenchFailed(f"{method} {path} was answered with {what}")
            await asyncio.sleep(_PAUSE_S)
