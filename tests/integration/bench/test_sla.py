"""The benchmark of promises: a whole system, and a flood of a few jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.inputs import generated
from bench.sla.flood import Plan, run
from bench.sla.report import tables
from simulator.generator import Day


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_flood_is_done_and_compared_with_the_lake(tmp_path: Path) -> None:
    large = generated(Day(snapshots=1000, strikes=20), tmp_path / "inputs", lambda _: None)
    plan = Plan(jobs=10, minutes=0.1, large=large)
    flood = run(tmp_path / "flood", plan, lambda requested: requested.priority, lambda _: None)
    found, _ = tables(flood, flood)
    checks = {row[0]: row for row in found[-1].rows}
    assert checks["the lake, with priorities"][-1].endswith("each once: met")
    assert checks["throughput, of that without priorities"][1] == "1.000"
