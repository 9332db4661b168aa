"""What runs log and count, in the words of the first system."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gexlake.api.chronox.symbols import Phase, RegisteredSymbol, Run, Strategy
from services.intake.chronox.reports import RunReports
from tests.support.values import NOON, REQUEST_ID


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def reports(registry: CollectorRegistry) -> RunReports:
    return RunReports(registry, lambda: 3)


NVDA = RegisteredSymbol(symbol="NVDA", strategy=Strategy.SNAPSHOT_STREAM, created_at=NOON, updated_at=NOON)
RUN = Run(run_id=REQUEST_ID, owner="one", phases=NVDA.strategy.phases, phase=Phase.SNAPSHOT, started_at=NOON)
FIELDS = ["symbol", "strategy", "phase", "records", "elapsed", "event", "log_level"]


def test_each_line_has_the_fields_of_the_first_system(reports: RunReports) -> None:
    with capture_logs() as lines:
        reports.started(NVDA, RUN, taken_over=False)
        reports.phase_ended(NVDA, Phase.SNAPSHOT, 1, 2.35)
        reports.completed(NVDA, Phase.STREAM, 1, 4.5)
        reports.failed(NVDA, Phase.SNAPSHOT, 0, 0.52, "HTTP 429: Rate limit exceeded")
    assert [line["event"] for line in lines] == [
        "symbol_execution_started",
        "symbol_phase_completed",
        "symbol_execution_completed",
        "symbol_execution_failed",
    ]
    assert [set(line) - {"error"} for line in lines] == [set(FIELDS)] * 4
    assert lines[1] == dict(
        zip(FIELDS, ("NVDA", "snapshot_stream", "snapshot", 1, 2.35, lines[1]["event"], "info"), strict=True)
    )
    assert (lines[3]["log_level"], lines[3]["error"]) == ("error", "HTTP 429: Rate limit exceeded")


def test_runs_rows_and_the_seconds_of_snapshots_are_counted(
    reports: RunReports, registry: CollectorRegistry
) -> None:
    reports.phase_ended(NVDA, Phase.BACKFILL, 390, 9.0)
    reports.phase_ended(NVDA, Phase.SNAPSHOT, 1, 2.0)
    reports.completed(NVDA, Phase.STREAM, 391, 11.0)
    reports.failed(NVDA, Phase.BACKFILL, 0, 1.0, "HTTP 403")
    found = {
        (name, *labels.values()): registry.get_sample_value(name, labels)
        for name, labels in (
            ("gexlake_runs", {}),
            ("gexlake_runs_ended_total", {"outcome": "completed"}),
            ("gexlake_runs_ended_total", {"outcome": "failed"}),
            ("gexlake_run_records_total", {"phase": "backfill"}),
            ("gexlake_snapshot_seconds_count", {}),
            ("gexlake_snapshot_seconds_sum", {}),
        )
    }
    assert list(found.values()) == [3, 1, 1, 390, 1, 2.0]
