"""Rows stand in the order of time, and within a record in that of the file, in the table and in Parquet.

A file has to be large enough that several batches are under way at once: only then can they overtake another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from services.importer.lake.statements import quoted
from tests.support.importer.lake import LakeOnDisk, a_record

RECORDS: Final = 4000
STRIKES: Final = [[20_000 + strike, strike / 7, -strike, [strike, 0, None]] for strike in range(100)]
Document = list[dict[str, Any]]
CHANGES: Final[dict[str, Callable[[Document], Document]]] = {
    "as_it_is": lambda day: day,
    "a_duplicate_at_the_end": lambda day: [*day, day[0]],
    "a_record_of_another_day_in_the_middle": lambda day: [
        *day[:2000],
        {**day[0], "timestamp": 1},
        *day[2000:],
    ],
    "backwards": lambda day: day[::-1],
    "backwards_with_duplicates": lambda day: [*day[::-1], *day[:500]],
}


@pytest.fixture(scope="module")
def day() -> Document:
    return [a_record(second, strikes=STRIKES) for second in range(RECORDS)]


@pytest.fixture(params=["fast", "bounded"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LakeOnDisk]:
    with closing(
        LakeOnDisk(tmp_path, memory_profile=request.param, import_threads=4, max_out_of_day_records=1)
    ) as lake:
        yield lake


@pytest.mark.parametrize("change", CHANGES)
def test_rows_are_in_order_whatever_the_order_of_the_file(
    lake: LakeOnDisk, day: Document, change: str
) -> None:
    lake.import_staged(lake.stage(CHANGES[change](day)))
    parquet = quoted(str(next(lake.settings.paths.parquet_root.rglob("*.parquet"))))
    for table, place in (("gex_strikes", "rowid"), (f"read_parquet({parquet})", "file_row_number")):
        assert lake.rows(
            f"""
            SELECT count(*), count(*) FILTER (WHERE timestamp <> 1763130600000 + place // 100 * 1000),
                count(*) FILTER (WHERE strike <> 20000 + place % 100)
            FROM (SELECT timestamp, strike, row_number() OVER (ORDER BY {place}) - 1 AS place FROM {table})
            """
        ) == [(RECORDS * len(STRIKES), 0, 0)], table
