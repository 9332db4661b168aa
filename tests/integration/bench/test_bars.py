"""The section ``bars``, on a hundredth of its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sections import bars
from bench.workbench import Workbench


@pytest.mark.slow
def test_each_way_stores_all_bars_and_a_month_is_in_the_table(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path, runs=1, snapshots=100, partitions=2, say=lambda _: None)
    day, month = bars.measured(bench)
    assert [row[0] for row in day.rows] == [bars.DUCKDB, bars.POLARS, bars.OURS]
    assert month.rows[0][0] == "1 symbols, 20 messages"
