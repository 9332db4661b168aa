"""A client that posts days and replays jobs while processes of the system come and go."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from gexlake.api.jobs import FINISHED
from simulator.generator import Day
from simulator.vendor import Vendor

_RETRY_S: Final = 0.2
_POLL_S: Final = 1.0
_TIMEOUT_S: Final = 10.0
_MAX_JOBS: Final = 500
_QUERIES: Final = (*["SELECT count(*) FROM gex_strikes"] * 4, "SELECT count(*) FROM range(100_000_000_000)")
_OF_QUERIES: Final = frozenset(
    {httpx.codes.OK, httpx.codes.REQUEST_TIMEOUT, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.BAD_REQUEST}
)
_TRY_AGAIN: Final = frozenset({httpx.codes.SERVICE_UNAVAILABLE})

Json = dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """An accepted request: its job, and which generation of it."""

    job_id: str
    generation: int


@dataclass
class PatientClient:
    """Sends each request until it is accepted, as clients are advised to, and follows all jobs."""

    http: httpx.AsyncClient
    vendor: Vendor
    jobs: dict[str, Json] = field(default_factory=dict)
    """The newest view of every job."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def post(self, day: Day, query: str = "sig=secret-signature", **more: Any) -> Accepted:
        """Post a day."""
        body = {"url": self.vendor.url_of(day.file_name, query), "type": day.endpoint, "ticker": day.ticker}
        answer = await self._send("POST", "/gex_history_url", json={**body, **more})
        return Accepted(answer["id"], answer["generation"])

    async def replay(self, job_id: str, **options: Any) -> Accepted:
        """Replay a job."""
        answer = await self._send("POST", f"/jobs/{job_id}/replay", json=options)
        return Accepted(answer["id"], answer["generation"])

    async def finished(self, accepted: Accepted) -> Json:
        """Wait until the job is finished, in this generation or a later one, and return it."""

        def is_finished() -> bool:
            job = self.jobs.get(accepted.job_id, {"generation": 0})
            return job["generation"] >= accepted.generation and job["state"] in FINISHED

        async with self._changed:
            await self._changed.wait_for(is_finished)
        return self.jobs[accepted.job_id]

    async def follow(self) -> None:
        """Keep ``jobs`` up to date until cancelled."""
        while True:
            page = await self._send("GET", "/jobs", params={"limit": _MAX_JOBS})
            assert page["next"] is None, "more jobs than a page has"
            seen = {job["id"]: job for job in page["jobs"]}
            assert seen.keys() >= self.jobs.keys(), "a job is gone"
            async with self._changed:
                self.jobs.update(seen)
                self._changed.notify_all()
            await asyncio.sleep(_POLL_S)

    async def query(self) -> None:
        """Query the lake until cancelled, every fifth time for too long."""
        for query in itertools.cycle(_QUERIES):
            with suppress(httpx.TransportError):
                answer = await self.http.post("/api/v1/sql", json={"query": query, "timeout_s": 1})
                assert answer.status_code in _OF_QUERIES, f"{query}: {answer.status_code} {answer.text}"
            await asyncio.sleep(_POLL_S)

    async def _send(self, method: str, path: str, **what: Any) -> Json:
        while True:
            try:
                answer = await self.http.request(method, path, **what)
            except httpx.TransportError:
                await asyncio.sleep(_RETRY_S)
                continue
            if answer.status_code not in _TRY_AGAIN:
                assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
                found: Json = answer.json()
                return found
            await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def patient_client(url: str, vendor: Vendor) -> AsyncIterator[PatientClient]:
    """Yield a client of the intake at ``url``, which follows all jobs."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_TIMEOUT_S) as http:
        client = PatientClient(http, vendor)
        following = asyncio.create_task(client.follow())
        try:
            yield client
        finally:
            if following.done():
                following.result()  # what it found wrong
            following.cancel()
