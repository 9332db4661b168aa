"""Whole ranges with strikes: windows of a range put together are the result of one query."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa
import pytest

from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from services.importer.queries.service import SqlQueries
from services.intake.errors import Unprocessable
from services.intake.snapshots import query as queries
from services.intake.snapshots.request import SnapshotsRequest
from services.intake.snapshots.windows import export_windows
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.queries import with_queries
from tests.support.values import a_job

NOW = datetime(2025, 11, 14, tzinfo=UTC)
RECORDS = records(7)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path_factory.mktemp("lake") / "data")
    lake.import_staged(lake.stage(list(RECORDS), a_job(trading_day=date(2025, 11, 14))))
    yield lake
    lake.close()


@dataclass
class InPieces:
    """A lake whose results come a few bytes at a time."""

    sql: SqlQueries
    size: int

    async def rows(self, request: SqlRequest) -> SqlResponse:
        return await self.sql.sql(request)

    async def export(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        whole = b"".join([chunk async for chunk in self.sql.export(request)])
        for start in range(0, len(whole), self.size):
            yield whole[start : start + self.size]


def result(lake: LakeOnDisk, form: Literal["csv", "arrow"], size: int, **query: Any) -> bytes:
    asked = SnapshotsRequest.read({"ticker": "NQ_NDX", "strikes": "true", **query}, NOW)

    async def read(sql: SqlQueries) -> bytes:
        return b"".join([chunk async for chunk in export_windows(InPieces(sql, size), asked, form)])

    return with_queries(lake, read)


def test_an_arrow_stream_of_several_windows_is_one_stream(
    filled: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "WINDOW_SNAPSHOTS", 3)
    content = result(filled, "arrow", 3, start="2025-11-14", end="2025-11-14")
    with pa.ipc.open_stream(content) as stream:
        rows = stream.read_all().to_pylist()
    assert [row["timestamp"] for row in rows] == [record["timestamp"] * 1000 for record in RECORDS]
    assert [tuple(strike.values()) for strike in rows[6]["strikes"]] == [
        (25000.0, -228.01, -86.9, "[-240.55,-243.15,0,-221.27,-220.12]"),
        (25010.0, 5.0, 14.27, "[0]"),
    ]


def test_a_csv_file_of_several_windows_has_one_header(
    filled: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "WINDOW_SNAPSHOTS", 3)
    content = result(filled, "csv", 3, start="2025-11-14", end="2025-11-14").decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [int(row["timestamp"]) for row in rows] == [record["timestamp"] * 1000 for record in RECORDS]
    assert rows[0]["strikes"].startswith("[[25000.0,-228.01,-86.9,[-240.55,")


def test_an_empty_range_has_columns_and_no_rows(filled: LakeOnDisk) -> None:
    content = result(filled, "arrow", 100_000, start="2024-01-02", end="2024-01-02")
    with pa.ipc.open_stream(content) as stream:
        table = stream.read_all()
    assert (table.num_rows, table.column_names[0], table.column_names[-1]) == (0, "timestamp", "strikes")


async def test_a_range_of_too_many_windows_is_refused() -> None:
    class Huge:
        async def rows(self, _: SqlRequest) -> SqlResponse:
            return SqlResponse.model_validate({"columns": [], "rows": [], "truncated": True, "seconds": 0})

        async def export(self, _: ExportRequest) -> AsyncGenerator[bytes, None]:
            raise AssertionError
            yield

    asked = SnapshotsRequest.read({"ticker": "NQ_NDX", "strikes": "true"}, NOW)
    with pytest.raises(Unprocessable, match="a range has at most 20000000 snapshots"):
        await anext(export_windows(Huge(), asked, "csv"))
