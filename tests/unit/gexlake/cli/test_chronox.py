"""``gexlake chronox``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from gexlake.api.jobs import Status
from gexlake.cli.chronox import command, daemon
from gexlake.cli.chronox.daemon import keep_running
from gexlake.cli.chronox.log import LineLog, LogLevel
from gexlake.cli.intake_client import Intake
from gexlake.cli.settings import CliSettings
from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake
from tests.support.gexlake.responses import job_of
from tests.support.repository import ROOT

JQ = shutil.which("jq")
EXECUTE = "/api/v1/registry/execute"
RUNS = "/api/v1/registry/runs"
AAPL = "00000000-0000-4000-8000-000000000001"
NVDA = "00000000-0000-4000-8000-000000000002"
AT = "2025-01-13T14:00:00Z"


def started(symbol: str, run_id: str, outcome: str = "started", **fields: Any) -> dict[str, Any]:
    strategy = {"strategy": "flatpack_snapshot_stream", "phases": ["backfill", "snapshot", "stream"]}
    return {"symbol": symbol, **strategy, "outcome": outcome, "run_id": run_id, **fields}


def executed(*symbols: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
    return {"symbols": symbols, "started": len(symbols), "dry_run": dry_run}


def run(symbol: str, run_id: str, phase: str, outcome: str | None = None, **fields: Any) -> dict[str, Any]:
    ended = {"outcome": outcome, "ended_at": "2025-01-13T14:00:02.350Z" if outcome else None}
    named = {"symbol": symbol, "strategy": "flatpack_snapshot_stream", "run_id": run_id, "phase": phase}
    return {**named, **ended, "started_at": AT, **fields}


def listed(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"runs": runs, "in_progress": sum(one["outcome"] is None for one in runs)}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    monkeypatch.setattr(command, "POLL_S", 0.01)
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


@pytest.fixture
def two_runs(intake: FakeIntake) -> FakeIntake:
    """One is completed, the other fails."""
    intake.bodies = {
        EXECUTE: [executed(started("AAPL", AAPL), started("NVDA", NVDA))],
        RUNS: [
            listed(run("AAPL", AAPL, "backfill"), run("NVDA", NVDA, "backfill")),
            listed(run("AAPL", AAPL, "snapshot"), run("NVDA", NVDA, "backfill")),
            listed(
                run("AAPL", AAPL, "stream", "completed", records=781),
                run("NVDA", NVDA, "backfill", "failed", error_message="backfill: HTTP 429: Rate limit"),
            ),
        ],
    }
    return intake


@pytest.mark.usefixtures("two_runs")
def test_runs_are_followed_to_their_ends_in_log_lines(say: Say) -> None:
    status, out, _ = say("chronox", "--log-level", "info")
    assert status == 1
    logged = lines(out)
    assert [(line["message"], line.get("symbol")) for line in logged] == [
        ("symbol_execution_started", "AAPL"),
        ("symbol_execution_started", "NVDA"),
        ("symbol_phase_entered", "AAPL"),
        ("symbol_execution_completed", "AAPL"),
        ("symbol_execution_failed", "NVDA"),
        ("registry_execution_completed", None),
    ]
    completed = logged[3]
    assert list(completed) == [
        *("time", "level", "message"),
        *("symbol", "strategy", "phase", "records", "elapsed"),
    ]
    assert (completed["level"], completed["records"], completed["elapsed"]) == ("INFO", 781, 2.35)
    assert completed["time"].endswith("Z")
    assert logged[4]["error"] == "backfill: HTTP 429: Rate limit"
    assert (logged[5]["completed"], logged[5]["failed"]) == (1, 1)


@pytest.mark.skipif(JQ is None, reason="jq is not installed")
@pytest.mark.usefixtures("two_runs")
def test_the_jq_queries_of_the_first_system_work(say: Say, tmp_path: Path) -> None:
    """They are run as docs/chronox.md has them, which is as they were written."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/chronox.log").write_text(say("chronox")[1])
    page = (ROOT / "docs/chronox.md").read_text()
    queries = re.findall(r"^    \$ (cat logs/chronox\.log \| jq .+)$", page, re.MULTILINE)
    errors, counts = (
        subprocess.run(
            ["/bin/sh", "-c", query], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for query in queries
    )
    assert [json.loads(errors)["symbol"], *counts.split()] == ["NVDA", "1", "AAPL"]


def test_a_dry_run_prints_the_plan(say: Say, intake: FakeIntake) -> None:
    planned = {**started("AAPL", AAPL, "planned", jobs=13), "run_id": None}
    intake.body = executed(planned, {"symbol": "NONE", "outcome": "unknown"}, dry_run=True)
    status, out, _ = say("chronox", "AAPL", "NONE", "--start", "2025-01-02", "--dry-run")
    assert status == 1
    assert intake.asked == [
        ("POST", EXECUTE, {"symbols": ["AAPL", "NONE"], "start": "2025-01-02", "dry_run": True})
    ]
    first, second = lines(out)
    assert (first["message"], first["jobs"], first["phases"][0]) == (
        "symbol_execution_planned",
        13,
        "backfill",
    )
    assert (second["level"], second["reason"]) == ("ERROR", "unknown")


@pytest.mark.usefixtures("two_runs")
def test_lines_below_the_log_level_are_left_out(say: Say) -> None:
    _, out, _ = say("chronox", "--log-level", "ERROR")
    assert [line["message"] for line in lines(out)] == ["symbol_execution_failed"]


SNAPSHOT = {
    "symbol": "AAPL",
    "minute": 1,
    "open": 9.0,
    "high": 12.0,
    "low": 8.0,
    "close": 10.0,
    "volume": 5.5,
}
SNAPSHOT |= {"bid": 9.9, "ask": 10.1}


@pytest.mark.parametrize(
    ("fields", "status", "fault"),
    [
        ({}, 0, None),
        ({"minute": None, "high": None}, 1, "the day has no high"),
        ({"low": 11.0}, 1, "are no open, high, low and close"),
        ({"bid": 11.0}, 1, "the bid 11.0 is above the ask 10.1"),
    ],
)
def test_a_snapshot_is_fetched_printed_and_checked(
    say: Say, intake: FakeIntake, fields: dict[str, Any], status: int, fault: str | None
) -> None:
    row = {**SNAPSHOT, **fields}
    columns = [{"name": name, "type": "DOUBLE"} for name in row]
    found = {"columns": columns, "truncated": False, "seconds": 0.1}
    intake.bodies = {
        "/api/v1/registry/snapshots": [{"symbols": 1, "queued": [AAPL], "under_way": 0}],
        f"/jobs/{AAPL}": [job_of(id=AAPL, state=Status.COMPLETED)],
        "/api/v1/sql": [{**found, "rows": []}, {**found, "rows": [list(row.values())]}],
    }
    ended, out, err = say("chronox", "--test-snapshot", "AAPL")
    assert (ended, json.loads(out)) == (status, row)
    last = lines(err)[-1]
    assert last["message"] == ("symbol_execution_failed" if fault else "symbol_execution_completed")
    assert fault is None or fault in last["error"]


def test_the_daemon_starts_the_scheduler_and_runs_what_is_new(
    intake: FakeIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "_LOOK_S", 0.01)
    monkeypatch.setattr(daemon, "_NEW_SYMBOLS_S", 0.0)
    stop, out = threading.Event(), StringIO()
    new = {"symbol": "NVDA", "strategy": "stream", "created_at": AT, "updated_at": AT, "revision": 3}
    intake.bodies = {
        "/api/v1/scheduler/start": [{}],
        EXECUTE: [executed(started("AAPL", AAPL)), executed(started("NVDA", NVDA))],
        "/api/v1/symbols": [
            {"symbols": [new], "total_count": 1},
            {"symbols": [], "total_count": 0},
        ],
        RUNS: [
            listed(run("AAPL", AAPL, "stream")),
            listed(run("AAPL", AAPL, "stream", "completed"), run("NVDA", NVDA, "stream")),
        ],
    }

    class Stopping(StringIO):
        def write(self, text: str) -> int:
            if '"symbol": "NVDA"' in text and "phase" in text:
                stop.set()
            return out.write(text)

    with Intake(CliSettings(url=intake.url)) as client:
        keep_running(client, LineLog(LogLevel.INFO, Stopping()), {}, stop)
    assert [asked[2] for asked in intake.asked if asked[1] == EXECUTE] == [{}, {"symbols": ["NVDA"]}]
    messages = [line["message"] for line in lines(out.getvalue())]
    assert messages[:3] == ["daemon_started", "scheduler_started", "symbol_execution_started"]
    assert messages[-1] == "daemon_stopped"


def test_the_flags_exclude_one_another(say: Say, intake: FakeIntake) -> None:
    assert say("chronox", "--daemon", "--dry-run")[0] == 2
    assert intake.asked == []
