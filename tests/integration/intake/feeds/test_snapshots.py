"""``GET /gex/snapshots`` and ``GET /gex``: what is asked of the importer, and how its rows are answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gexlake.api import services
from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from gexlake.api.rpc import Refused, serve
from gexlake.api.rpc_stream import serve_stream
from services.intake.settings import IntakeSettings
from services.intake.snapshots.query import COLUMNS
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from tests.support.intake.running import RunningIntake, running_intake

RANGE = "start=2025-11-14&end=2025-11-14"
FIRST_MS = 1763130600000


def a_row(second: int) -> list[Any]:
    values = {"timestamp": FIRST_MS + 1000 * second, "spot_price": 25000.5, "max_priors": "[[25000,1.50]]"}
    return [values.get(name) for name in COLUMNS[:-1]] + ["live"]


@dataclass
class FakeLake:
    """Answers with as many rows as it is asked for, up to three."""

    asked: list[Any] = field(default_factory=list)

    async def sql(self, request: SqlRequest) -> SqlResponse:
        self.asked.append(request)
        columns = [{"name": name, "type": "VARCHAR"} for name in COLUMNS]
        rows = [a_row(second) for second in range(min(3, request.max_rows))]
        return SqlResponse.model_validate(
            {"columns": columns, "rows": rows, "truncated": request.max_rows < 3, "seconds": 0.1}
        )

    async def export(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        self.asked.append(request)
        yield b"bytes"


@pytest.fixture
async def lake(bus: Bus) -> AsyncIterator[FakeLake]:
    fake = FakeLake()

    def unexpected(error: Exception) -> Refused:
        return Refused(500, str(error))

    async with announce_service(bus, "importer", "stands in") as service:
        await serve(service, services.SQL, fake.sql, refusal=unexpected)
        await serve_stream(service, bus.client, services.EXPORT, fake.export, refusal=unexpected)
        await bus.client.flush()
        yield fake


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)) as running:
        yield running


@pytest.mark.usefixtures("lake")
async def test_a_page_names_the_next_one_and_numbers_stay_as_they_were_sent(intake: RunningIntake) -> None:
    response = await intake.http.get(f"/gex?symbol=nq_ndx&{RANGE}&limit=2")
    assert response.headers["content-type"] == "application/json"
    assert '"max_priors":[[25000,1.50]]' in response.text
    page = response.json()
    assert (page["ticker"], page["endpoint"], len(page["snapshots"])) == ("NQ_NDX", "gex_zero", 2)
    assert page["next"].startswith("/gex?ticker=NQ_NDX&")
    assert page["next"].endswith(f"&cursor={FIRST_MS + 1000}")
    last = await intake.get(page["next"].replace("limit=2", "limit=3"))
    assert last["next"] is None


@pytest.mark.parametrize(
    ("accept", "form"), [("application/vnd.apache.arrow.stream", "arrow"), ("text/csv", "csv")]
)
async def test_the_whole_range_is_streamed_on_request(
    lake: FakeLake, intake: RunningIntake, accept: str, form: str
) -> None:
    response = await intake.http.get(
        f"/gex/snapshots?ticker=NQ_NDX&{RANGE}&limit=1", headers={"Accept": accept}
    )
    assert (response.content, response.headers["content-type"].split(";")[0]) == (b"bytes", accept)
    (asked,) = lake.asked
    assert (asked.format, "LIMIT" in asked.query) == (form, False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2025-11-14", "ticker"),
        ("ticker=NQ_NDX&start=soon", "start"),
        ("ticker=NQ_NDX&endpoint=orderflow", "endpoint"),
    ],
)
async def test_a_wrong_parameter_is_named(intake: RunningIntake, query: str, field: str) -> None:
    for path in ("/gex/snapshots", "/gex"):
        assert (await intake.get(f"{path}?{query}", 422))["error"]["field"] == field


async def test_an_importer_that_is_not_there_is_503(intake: RunningIntake) -> None:
    problem = await intake.get(f"/gex/snapshots?ticker=NQ_NDX&{RANGE}", 503)
    assert problem["error"]["rule"] == "importer"
