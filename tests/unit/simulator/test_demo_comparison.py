"""The demo fails, and names the value, if the import differs from the generated day."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gexlake.cli.answers import read_job
from gexlake.cli.output.rows import Rows
from simulator.demo.gex import Imported, compare
from simulator.demo.process import DemoFailed
from simulator.generator import FileSummary
from tests.support.gexlake.responses import job_of

SUMMARY = FileSummary(snapshots=10, strike_rows=200, bytes=5000, sha256="a" * 64)
JOB = job_of(state="completed", bytes_fetched=5000, checksum="a" * 64)


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    (tmp_path / "day.parquet").touch()
    return Imported(10, 200, 200, tmp_path / "day.parquet", Rows((), (), (), truncated=False, seconds=0))


def test_an_import_that_equals_the_day_passes(imported: Imported) -> None:
    compare(SUMMARY, read_job(JOB), imported)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"snapshots": 9}, "snapshots in DuckDB: 10 were generated, 9 found"),
        ({"strike_rows": 201}, "strike rows in DuckDB: 200 were generated, 201 found"),
        ({"parquet_rows": 0}, "strike rows in Parquet: 200 were generated, 0 found"),
        ({"parquet": Path("nowhere.parquet")}, "nowhere.parquet is missing"),
    ],
)
def test_a_different_value_is_named(imported: Imported, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(DemoFailed, match=what):
        compare(SUMMARY, read_job(JOB), replace(imported, **changes))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"state": "failed", "error": "record 3 has no spot"}, "the job ended failed: record 3 has no spot"),
        ({"bytes_fetched": 4999}, "bytes fetched: 5000 were generated, 4999 found"),
        ({"checksum": "b" * 64}, "sha256"),
    ],
)
def test_an_unexpected_state_is_named(imported: Imported, changes: dict[str, Any], what: str) -> None:
    job = read_job({**JOB, **changes})
    with pytest.raises(DemoFailed, match=what):
        compare(SUMMARY, job, imported)
