"""Priority requests over HTTP: posted, looked at, listed, and given another priority."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from gexlake.api.jobs import PROMISES, Priority
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile
from tests.support.intake.running import (
    DAY_URL,
    SIGNED_URL,
    RunningIntake,
    messages_in,
    payload_at,
    running_intake,
)

PATH = "/api/v1/ingest/priority"
BODY = {"source_url": SIGNED_URL, "data_type": "historical", "market_symbol": "NDX"}
URGENT = {"volume": 61_000, "gamma_change": 0.2, "data_age_s": 2, "token": "S3CRET"}


@pytest.fixture
def intake_settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url, ack_wait_s=5, optionable_symbols=("NQ_NDX",))


async def ask(intake: RunningIntake, status: int = 202, **changes: Any) -> Any:
    answer = await intake.http.post(PATH, json={**BODY, **changes})
    assert answer.status_code == status, answer.text
    return answer.json()


async def change(intake: RunningIntake, request_id: str, status: int = 200, **body: Any) -> Any:
    answer = await intake.http.patch(f"{PATH}/{request_id}", json={"reason": "desk waits", **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def after(moment: str, priority: Priority) -> datetime:
    return datetime.fromisoformat(moment) + PROMISES[priority]


async def test_a_request_is_a_job_with_its_score_and_deadline(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        answer = await ask(intake, metadata=URGENT)
        shown = await intake.get(f"{PATH}/{answer['request_id']}")
        queued = await intake.queue(url=SIGNED_URL)
    assert (answer["priority_score"], answer["priority_level"]) == (0.95, "critical")
    assert answer["decided_by"] == ["Guideline: critical"]
    assert answer["queue_position"] == 1
    assert answer["estimated_processing_time"].startswith("PT")
    assert answer["deadline_at_risk"] is (answer["warning"] is not None)
    assert datetime.fromisoformat(answer["deadline"]) == after(shown["submitted_at"], Priority.CRITICAL)
    for name in ("request_id", "priority_score", "priority_level", "decided_by", "job_id", "deadline"):
        assert shown[name] == answer[name]
    assert (shown["status"], shown["source_url"], shown["channel"]) == ("pending", DAY_URL, "priority")
    assert shown["metadata"] == {**URGENT, "token": "[redacted]"}
    assert [shown[name] for name in ("started_at", "completed_at", "deadline_kept", "overrides")] == [
        None,
        None,
        None,
        [],
    ]
    assert queued["request_id"] == answer["request_id"]
    command = await payload_at(bus, subjects.JOBS, 1)
    assert isinstance(command, FetchFile)
    assert command.job.priority_score == 0.95
    assert command.request is not None
    assert command.job.deadline == command.request.deadline == datetime.fromisoformat(answer["deadline"])
    assert await messages_in(bus, subjects.JOBS) == 1


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"source_url": "file:///a.json"}, "source_url", "string_pattern_mismatch"),
        ({"source_url": "https://evil.test/a.json"}, "source_url", "allowed_source"),
        ({"source_url": "https://hist.gex.bot/a.json"}, "metadata.endpoint", "missing"),
        ({"data_type": None}, "data_type", "enum"),
        ({"market_symbol": "ABCD"}, "market_symbol", "optionable"),
        ({"market_symbol": "SPX"}, "market_symbol", "file"),
        ({"requested_at": "2999-01-01T00:00:00Z"}, "requested_at", "future"),
        ({"metadata": {"note": "x" * 17_000}}, "metadata", "value_error"),
        ({"priority": "critical"}, "reason", "missing"),
        ({"reason": "because"}, "reason", "unused"),
        ({"priority_score": 1}, "priority_score", "extra_forbidden"),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_its_field(
    intake_settings: IntakeSettings, changes: dict[str, Any], field: str, rule: str
) -> None:
    async with running_intake(intake_settings) as intake:
        error = (await ask(intake, 422, **changes))["error"]
    assert (error["field"], error["rule"]) == (field, rule)
    assert error["message"].startswith(f"{field}: ")
