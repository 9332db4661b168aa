"""The benchmark's section on the whole system: a real broker, four services, and a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sections import pipeline
from bench.workbench import Workbench


@pytest.mark.slow
def test_a_day_is_timed_from_its_post_to_its_import(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bench = Workbench(tmp_path / "inputs", scratch, 2, 100, 2, lambda _: None)
    (table,) = pipeline.measured(bench)
    assert [row[0] for row in table.rows] == [pipeline.BARE, pipeline.PIPELINE]
    assert all(float(row[1]) > 0 and float(row[-2]) > 0 for row in table.rows)
    assert list(scratch.iterdir()) == []
