"""``gexlake submit``, ``request`` and ``raise``: what they say of the priority of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

JOB_ID: Final = "0a070f0c-f52a-566a-954e-0bb50a310049"
ID: Final = "0f1f6c58-5d0c-4f0e-9a3b-7d1c2b3a4d5e"
QUEUED: Final[dict[str, Any]] = {
    "status": "queued",
    "id": JOB_ID,
    "url": "https://hist.gex.bot/day.json",
    "ticker": "NQ_NDX",
    "endpoint": "gex_zero",
    "trading_day": None,
    "priority": "high",
    "generation": 1,
    "request_id": ID,
    "priority_score": 0.75,
    "deadline": "2025-11-14T17:05:00Z",
    "estimated_processing_time": "PT1H0.25S",
    "queue_position": 3,
    "warning": "the deadline of the level high will probably be missed",
}
REQUEST: Final[dict[str, Any]] = {
    "request_id": ID,
    "status": "completed",
    "channel": "priority",
    "priority_level": "critical",
    "priority_score": 0.9,
    "decided_by": [],
    "overrides": [
        {
            "priority_level": "critical",
            "priority_score": 0.9,
            "reason": "desk [waits]",
            "by": "key:12345678",
            "at": "2025-11-14T17:01:00Z",
        }
    ],
    "submitted_at": "2025-11-14T17:00:00Z",
    "requested_at": "2025-11-14T17:00:00Z",
    "started_at": "2025-11-14T17:00:05Z",
    "completed_at": "2025-11-14T17:00:25Z",
    "deadline": "2025-11-14T17:00:30Z",
    "deadline_kept": True,
    "records_processed": 23_400,
    "estimated_completion": None,
    "error_message": None,
    "job_id": JOB_ID,
    "market_symbol": "NDX",
    "data_type": "historical",
    "source_url": "https://hist.gex.bot/day.json",
    "metadata": {},
}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


def test_submit_shows_the_promise_and_warns_of_one_that_will_be_broken(intake: FakeIntake, say: Say) -> None:
    intake.body = QUEUED
    promise = "high (score 0.75), position 3, expected in 3,600.2 s, due 2025-11-14 17:05:00 UTC"
    status, out, err = say("submit", "https://hist.gex.bot/day.json")
    assert (status, out.splitlines()) == (0, [f"queued: job {JOB_ID}", f"request {ID}", promise])
    assert err == f"gexlake: {QUEUED['warning']}\n"


def test_a_request_is_shown_with_its_overrides(intake: FakeIntake, say: Say) -> None:
    intake.body = REQUEST
    status, out, _ = say("request", ID)
    rows = [line.rstrip().split(maxsplit=1) for line in out.splitlines()]
    assert status == 0
    assert ["override", "critical by key:12345678: desk [waits]"] in rows
    assert ["deadline", "kept"] in rows
    assert "decided by  no rule" in out
    assert intake.asked == [("GET", f"/api/v1/ingest/priority/{ID}", None)]


def test_raise_changes_the_level_with_a_reason(intake: FakeIntake, say: Say) -> None:
    intake.body = REQUEST
    assert say("raise", ID, "critical")[0] == 2
    assert say("raise", ID, "critical", "--reason", "desk waits")[0] == 0
    body = {"priority_level": "critical", "reason": "desk waits"}
    assert intake.asked == [("PATCH", f"/api/v1/ingest/priority/{ID}", body)]
