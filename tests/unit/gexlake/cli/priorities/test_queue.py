"""``gexlake queue`` and ``gexlake sla``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

JOB = {
    "job_id": "11111111-1111-5000-8000-000000000000",
    "request_id": None,
    "market_symbol": "NDX",
    "ticker": "NQ_NDX",
    "endpoint": "gex_zero",
    "trading_day": "2025-11-14",
    "stage": "fetch",
    "priority_score": 0.75,
    "deadline": "2025-11-14T17:05:00Z",
    "submitted_at": "2025-11-14T17:00:00Z",
}
EMPTY: dict[str, Any] = {"waiting": 0, "running": 0, "oldest": None, "next": []}
QUEUE = {
    "total_queued": 1012,
    "by_priority": {"critical": 0, "high": 12, "medium": 0, "low": 1000},
    "oldest_request": "2025-11-14T16:00:00Z",
    "processing_capacity": 5,
    "levels": [
        {"level": "critical", **EMPTY},
        {"level": "high", "waiting": 12, "running": 1, "oldest": "2025-11-14T17:00:00Z", "next": [JOB] * 9},
        {"level": "medium", **EMPTY},
        {
            "level": "low",
            "waiting": 1000,
            "running": 2,
            "oldest": "2025-11-14T16:00:00Z",
            "next": [{**JOB, "priority_score": None, "deadline": None}] * 9,
        },
    ],
}


def figures(level: str, **changes: Any) -> dict[str, Any]:
    counts = {"count": 0, "kept": 0, "missed": 0, "missed_foretold": 0, "open": 0, "cancelled": 0}
    seconds = {"p50_seconds": None, "p95_seconds": None, "max_seconds": None}
    return {"level": level, "promise_seconds": 30, **counts, **seconds, **changes}


SLA = {
    "window": "24h",
    "since": "2025-11-13T17:00:00Z",
    "until": "2025-11-14T17:00:00Z",
    "levels": [
        figures("critical", count=9, kept=8, missed=1, p50_seconds=0.31, p95_seconds=4, max_seconds=1234.5),
        figures("low", promise_seconds=None, count=1, kept=None, missed=None, missed_foretold=None),
    ],
}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        fake.bodies["/api/v1/ingest/priority/queue"] = [QUEUE]
        fake.bodies["/api/v1/sla"] = [SLA]
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


@pytest.mark.usefixtures("intake")
def test_queue_shows_the_levels_and_the_next_ten(say: Say) -> None:
    status, out, _ = say("queue")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["high", "12", "1", "11-14", "17:00:00"] in rows
    assert ["critical", "0", "0"] in rows
    urgent = ["11111111", "high", "NDX", "gex_zero", "2025-11-14", "fetch", "0.75", "11-14", "17:05:00"]
    low = ["11111111", "low", "NDX", "gex_zero", "2025-11-14", "fetch"]
    assert (rows.count(urgent), rows.count(low)) == (9, 1)


def test_an_empty_queue_has_no_second_table(intake: FakeIntake, say: Say) -> None:
    intake.bodies["/api/v1/ingest/priority/queue"] = [{**QUEUE, "levels": [{"level": "low", **EMPTY}]}]
    _, out, _ = say("queue")
    assert "score" not in out


def test_sla_shows_what_became_of_requests(intake: FakeIntake, say: Say) -> None:
    status, out, _ = say("sla", "--window", "7d")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    critical = ["critical", "30", "s", "9", "8", "1", "0", "0", "0", "0.3", "s", "4.0", "s", "1,234.5", "s"]
    assert critical in rows
    assert ["low", "1", "0", "0"] in rows
    assert intake.asked[0][:2] == ("GET", "/api/v1/sla?window=7d")


@pytest.mark.usefixtures("intake")
@pytest.mark.parametrize(("command", "answer"), [("queue", QUEUE), ("sla", SLA)])
def test_json_is_the_answer(say: Say, command: str, answer: dict[str, Any]) -> None:
    _, out, _ = say(command, "--json")
    assert json.loads(out) == answer
