"""``POST /api/v1/sql``: what is sent to the importer, and how its responses are passed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gexlake.api import services
from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from gexlake.api.rpc import Refused, serve
from gexlake.api.rpc_stream import serve_stream
from services.intake.settings import IntakeSettings
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from tests.support.intake.running import RunningIntake, running_intake
from tests.support.poll import eventually

CHUNK = b"x" * 400_000
ROWS = SqlResponse.model_validate(
    {"columns": [{"name": "n", "type": "INTEGER"}], "rows": [[1]], "truncated": False, "seconds": 0.1}
)
CSV = {"Accept": "text/csv"}


@dataclass
class FakeQueries:
    """Answers queries; one that names a code is refused with it."""

    chunks: int = 3
    refuse_after: int | None = None
    sent: int = 0
    closed: int = 0
    asked: list[Any] = field(default_factory=list)

    async def sql(self, request: SqlRequest) -> SqlResponse:
        self.asked.append(request)
        if request.query.isdecimal():
            raise Refused(int(request.query), "the reason")
        return ROWS

    async def export(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        self.asked.append(request)
        try:
            for number in range(self.chunks):
                if number == self.refuse_after:
                    raise Refused(400, "the reason")
                self.sent += 1
                yield CHUNK
        finally:
            self.closed += 1


def unexpected(error: Exception) -> Refused:
    return Refused(500, str(error))


@pytest.fixture
async def queries(bus: Bus) -> AsyncIterator[FakeQueries]:
    fake = FakeQueries()
    async with announce_service(bus, "importer", "stands in") as service:
        await serve(service, services.SQL, fake.sql, refusal=unexpected)
        await serve_stream(service, bus.client, services.EXPORT, fake.export, refusal=unexpected)
        await bus.client.flush()
        yield fake


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as running:
        yield running


async def test_rows_are_passed_on(queries: FakeQueries, intake: RunningIntake) -> None:
    response = await intake.http.post("/api/v1/sql", json={"query": "SELECT 1", "max_rows": 7})
    assert response.json() == ROWS.model_dump(mode="json")
    assert queries.asked == [SqlRequest(query="SELECT 1", max_rows=7)]


@pytest.mark.usefixtures("queries")
@pytest.mark.parametrize("code", [400, 408, 500, 503])
async def test_a_refusal_is_passed_on_with_its_code(intake: RunningIntake, code: int) -> None:
    response = await intake.http.post("/api/v1/sql", json={"query": str(code)})
    assert response.status_code == code
    assert response.json() == {"error": {"field": "query", "rule": "query", "message": "the reason"}}


@pytest.mark.usefixtures("queries")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x", "timeout_s": 0}, "timeout_s"),
        ({"q": 1}, "query"),
    ],
)
async def test_a_wrong_body_is_refused_by_field(
    intake: RunningIntake, body: dict[str, Any], field: str
) -> None:
    for headers in ({}, CSV):
        response = await intake.http.post("/api/v1/sql", json=body, headers=headers)
        assert (response.status_code, response.json()["error"]["field"]) == (422, field)


async def test_an_importer_that_is_not_there_is_503(intake: RunningIntake) -> None:
    for headers in ({}, CSV):
        response = await intake.http.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=headers)
        assert response.status_code == 503
        assert "is it running?" in response.json()["error"]["message"]


@pytest.mark.parametrize("chunks", [0, 1, 30])
async def test_an_export_is_streamed_in_order(
    queries: FakeQueries, intake: RunningIntake, chunks: int
) -> None:
    queries.chunks = chunks
    response = await intake.http.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=CSV)
    assert response.headers["content-type"].startswith("text/csv")
    assert response.content == CHUNK * chunks


async def test_an_export_that_is_refused_at_once_is_an_error(
    queries: FakeQueries, intake: RunningIntake
) -> None:
    queries.refuse_after = 0
    response = await intake.http.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=CSV)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "the reason")


async def test_an_export_that_fails_later_ends_before_its_end(
    queries: FakeQueries, intake: RunningIntake
) -> None:
    queries.refuse_after = 2
    with pytest.raises(httpx.RemoteProtocolError):
        await intake.http.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=CSV)


async def test_a_client_that_reads_nothing_holds_the_export_up(
    queries: FakeQueries, intake: RunningIntake
) -> None:
    queries.chunks = 1000
    async with intake.http.stream("POST", "/api/v1/sql", json={"query": "SELECT 1"}, headers=CSV) as response:
        chunks = response.aiter_bytes()  # kept: the response is closed with it
        await anext(chunks)
        seen = -1
        while seen != queries.sent:
            seen = queries.sent
            await asyncio.sleep(0.3)
        assert (seen < 100, queries.closed) == (True, 0)
    await eventually(lambda: queries.closed == 1, what="the end of the query of a client that has left")
