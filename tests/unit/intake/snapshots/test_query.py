"""Ranges of snapshots, as the importer answers them from a lake of several days."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from gexlake.api.lake import SqlRequest, SqlResponse
from gexlake.api.live import SnapshotsPage
from services.importer.queries.service import SqlQueries
from services.intake.errors import Unprocessable
from services.intake.snapshots.page import encode_page
from services.intake.snapshots.query import export_query, page_query
from services.intake.snapshots.request import SnapshotsRequest
from tests.support.importer.lake import LakeOnDisk, a_record
from tests.support.importer.queries import with_queries
from tests.support.values import a_job

DAYS = (date(2025, 11, 12), date(2025, 11, 13), date(2025, 11, 14))
RECORDS = 5


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeOnDisk]:
    """Three days of two endpoints, five records each."""
    lake = LakeOnDisk(tmp_path_factory.mktemp("lake") / "data")
    for day in DAYS:
        for endpoint in ("gex_zero", "gex_full"):
            url = f"https://hist.gex.bot/{day}_NQ_NDX_classic_{endpoint}.json"
            job = a_job(base_url=url, endpoint=endpoint, trading_day=day)
            lake.import_staged(lake.stage(records_of(day), job))
    yield lake
    lake.close()


def records_of(day: date) -> list[dict[str, Any]]:
    shift = (day - date(2025, 11, 14)).days * 86400
    spare: dict[str, Any] = {"strikes": [], "max_priors": None}
    return [
        {**a_record(second, **(spare if second == 3 else {})), "timestamp": 1763130600 + shift + second}
        for second in range(RECORDS)
    ]


def ask(lake: LakeOnDisk, *queries: str, rows: int = 1000) -> list[SqlResponse]:
    async def run(sql: SqlQueries) -> list[SqlResponse]:
        return [await sql.sql(SqlRequest(query=query, max_rows=rows)) for query in queries]

    return with_queries(lake, run)


def asked_for(**query: Any) -> SnapshotsRequest:
    return SnapshotsRequest.read({"ticker": "NQ_NDX", **query}, datetime(2025, 11, 14, tzinfo=UTC))


def page_of(lake: LakeOnDisk, asked: SnapshotsRequest) -> dict[str, Any]:
    (found,) = ask(lake, page_query(asked), rows=asked.limit)
    page = encode_page(asked, found, "/gex/snapshots")
    SnapshotsPage.model_validate_json(page)
    read: dict[str, Any] = json.loads(page)
    return read


def test_snapshots_of_a_range_are_the_records_that_were_imported(filled: LakeOnDisk) -> None:
    page = page_of(filled, asked_for(start="2025-11-13", end="2025-11-14", strikes="true"))
    wanted = [*records_of(DAYS[1]), *records_of(DAYS[2])]
    assert [shown["timestamp"] for shown in page["snapshots"]] == [
        each["timestamp"] * 1000 for each in wanted
    ]
    for shown, record in zip(page["snapshots"], wanted, strict=True):
        assert shown["spot_price"] == record["spot"]
        assert (shown["strikes"], shown["max_priors"]) == (record["strikes"], record["max_priors"])
        for name in ("zero_gamma", "min_dte", "sec_min_dte", "major_neg_oi", "sum_gex_vol"):
            assert shown[name] == record[name]
        assert shown["source"] == "history"
    assert page["next"] is None


def test_pages_follow_one_another_without_a_gap(filled: LakeOnDisk) -> None:
    asked = asked_for(start="2025-11-12", end="2025-11-14", limit="4", strikes="true")

    async def read(sql: SqlQueries) -> list[int]:
        seen: list[int] = []
        following: SnapshotsRequest | None = asked
        while following is not None:
            found = await sql.sql(SqlRequest(query=page_query(following), max_rows=following.limit))
            page = json.loads(encode_page(following, found, "/gex/snapshots"))
            seen += [shown["timestamp"] for shown in page["snapshots"]]
            parameters = dict(parse_qsl((page["next"] or "").partition("?")[2]))
            following = asked_for(**parameters) if parameters else None
        return seen

    every = [each["timestamp"] * 1000 for day in DAYS for each in records_of(day)]
    assert with_queries(filled, read) == every


def test_only_files_of_the_range_are_read(filled: LakeOnDisk) -> None:
    asked = asked_for(start="2025-11-13", end="2025-11-13", strikes="true")
    (explained,) = ask(filled, f"EXPLAIN ANALYZE {page_query(asked)}")
    plan = str(explained.rows)
    # The footers of one ticker and endpoint, and of these one file each.
    assert re.findall(r"Total Files Read: (\d+)", plan) == ["3", "3"], plan
    assert re.findall(r"Row Groups Scanned: (\d+ / \d+)", plan) == ["1 / 3", "1 / 3"], plan


def test_a_source_and_a_quote_are_conditions_and_no_sql(filled: LakeOnDisk) -> None:
    range_ms = (0, 1763200000000)
    live = SnapshotsRequest("NQ_NDX", "gex_zero", *range_ms, source="live")
    odd = SnapshotsRequest("X' OR 'a' = 'a", "gex_zero", *range_ms)
    assert [
        found.rows for found in ask(filled, page_query(live), page_query(odd), export_query(odd, nested=True))
    ] == [()] * 3


def test_a_snapshot_that_does_not_fit_is_refused() -> None:
    none = SqlResponse.model_validate({"columns": [], "rows": [], "truncated": True, "seconds": 0})
    with pytest.raises(Unprocessable, match="more strikes than an answer holds"):
        encode_page(asked_for(strikes="true"), none, "/gex")


def test_data_is_not_needed(tmp_path: Path) -> None:
    empty = LakeOnDisk(tmp_path / "data")
    try:
        page = page_of(empty, asked_for(start="2025-11-12", strikes="true"))
    finally:
        empty.close()
    assert (page["snapshots"], page["next"]) == ([], None)
