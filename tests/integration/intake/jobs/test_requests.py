"""Priority requests over HTTP: posted, looked at, listed, and given another priority."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from gexlake.api.jobs import PROMISES, Priority, Stage
from services.intake.settings import IntakeSettings
from services.intake.state.projection import Projection
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import FollowedEvent
from shared.bus.messages import FetchFile, FileStaged, ImportFile, Job, JobReplayed, JobStarted
from tests.support.intake.running import (
    DAY_URL,
    SIGNED_URL,
    RunningIntake,
    all_events,
    messages_in,
    payload_at,
    running_intake,
)
from tests.support.poll import eventually
from tests.support.values import a_skip, an_import, url_of

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


async def test_a_refusal_names_the_field_and_queues_nothing(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        refused = (await ask(intake, 422, priority_score=1))["error"]
        unclear = (await change(intake, str(uuid4()), 422, deadline="now"))["error"]
    assert (refused["field"], refused["rule"]) == ("priority_score", "extra_forbidden")
    assert (unclear["field"], unclear["rule"]) == ("deadline", "extra_forbidden")
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_another_priority_is_a_new_generation_with_its_reason(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        asked = await ask(intake)
        shown = await change(
            intake, asked["request_id"], priority_level="critical", reason=f"for {SIGNED_URL}"
        )
        again = await change(intake, asked["request_id"], priority_level="critical")
        lowered = await change(intake, asked["request_id"], priority_score=0.1)
    (override,) = shown["overrides"]
    assert (again["overrides"], again["deadline"]) == (shown["overrides"], shown["deadline"])
    assert (shown["priority_level"], shown["priority_score"]) == ("critical", 0.9)
    assert (override["priority_level"], override["priority_score"]) == ("critical", 0.9)
    assert (override["reason"], override["by"]) == (f"for {DAY_URL}?[redacted]", "address:127.0.0.1")
    assert datetime.fromisoformat(shown["deadline"]) == after(override["at"], Priority.CRITICAL)
    assert (lowered["priority_level"], lowered["priority_score"], lowered["deadline"]) == ("low", 0.1, None)
    assert await messages_in(bus, subjects.JOBS) == 3
    command = await payload_at(bus, subjects.JOBS, 2)
    assert isinstance(command, FetchFile)
    assert command.subject == "gex.job.fetch.critical.NQ_NDX"
    assert (command.job.generation, str(command.job.request_id)) == (2, asked["request_id"])
    assert url_of(command) == SIGNED_URL
    _, event, _ = await all_events(bus)
    assert isinstance(event, JobReplayed)
    assert (event.replay_of, event.stage, event.command_seq) == ("priority", Stage.FETCH, 2)
    assert (event.job, event.request) == (command.job, command.request)


async def test_a_file_that_is_staged_is_not_fetched_again_for_another_priority(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        asked = await ask(intake)
        command = await payload_at(bus, subjects.JOBS, 1)
        staged = await stage(bus, command.job)
        await has_status(intake, asked["request_id"], "staged")
        shown = await change(intake, asked["request_id"], priority_level="high")
    again = await payload_at(bus, subjects.JOBS, 3)
    assert isinstance(again, ImportFile)
    assert again.subject == "gex.job.import.high.NQ_NDX"
    assert (again.sha256, again.job.generation) == (staged.sha256, 2)
    assert (shown["status"], shown["started_at"]) == ("staged", None)
    event = (await all_events(bus))[-1]
    assert isinstance(event, JobReplayed)
    assert (event.stage, event.command_seq) == (Stage.IMPORT, 3)
    assert event.request is not None
    assert event.request.deadline == again.job.deadline


async def test_a_request_that_has_ended_keeps_its_priority(bus: Bus, intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        asked = await ask(intake)
        job = (await payload_at(bus, subjects.JOBS, 1)).job
        await bus.publish_event(a_skip(job))
        await has_status(intake, asked["request_id"], "skipped")
        error = (await change(intake, asked["request_id"], 409, priority_level="high"))["error"]
        assert error["rule"] == "finished"
        ended = await intake.get(f"{PATH}/{asked['request_id']}")
        next_one = await ask(intake)
        await change(intake, asked["request_id"], 409, priority_level="high")
        first = await intake.get(f"{PATH}/{asked['request_id']}")
        await change(intake, str(uuid4()), 404, priority_level="high")
        await intake.get(f"{PATH}/{uuid4()}", 404)
    assert (ended["deadline_kept"], ended["estimated_completion"]) == (True, None)
    assert ended["completed_at"] > ended["submitted_at"]
    assert next_one["request_id"] != asked["request_id"]
    assert first == ended
    assert await messages_in(bus, subjects.JOBS) == 2


async def test_a_request_that_has_just_ended_keeps_its_priority(
    bus: Bus, intake_settings: IntakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, on_event = asyncio.get_running_loop(), Projection._on_event

    def hear_late(projection: Projection, followed: FollowedEvent) -> None:
        loop.call_later(0.2, on_event, projection, followed)

    async with running_intake(intake_settings) as intake:
        asked = await ask(intake)
        monkeypatch.setattr(Projection, "_on_event", hear_late)
        await bus.publish_event(a_skip((await payload_at(bus, subjects.JOBS, 1)).job))
        await change(intake, asked["request_id"], 409, priority_level="high")
    assert await messages_in(bus, subjects.JOBS) == 1


async def test_requests_are_listed_by_level_status_symbol_and_time(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        first = await ask(intake, metadata=URGENT)
        second = await ask(intake, source_url=f"{DAY_URL.replace('14', '13')}?s=1", market_symbol="NQ_NDX")
        third = await intake.queue(url=SIGNED_URL.replace("NQ_NDX", "SPX"), priority="low")
        shown = await intake.get(f"{PATH}/{second['request_id']}")

        async def found(**query: str) -> list[str]:
            answer = await intake.http.get(PATH, params=query)
            assert answer.status_code == 200, answer.text
            return [each["request_id"] for each in answer.json()["requests"]]

        everything = [each["request_id"] for each in (third, second, first)]
        assert await found() == everything
        assert await found(level="critical") == [first["request_id"]]
        assert await found(symbol="spx") == [third["request_id"]]
        assert await found(status="pending", submitted_from=shown["submitted_at"]) == everything[:2]
        assert await found(submitted_to=shown["submitted_at"]) == everything[2:]
        page = await intake.get(f"{PATH}?limit=2&status=pending")
        assert (page["total"], len(page["requests"])) == (3, 2)
        assert page["next"] == f"{PATH}?status=pending&limit=2&offset=2"
        assert [each["request_id"] for each in (await intake.get(page["next"]))["requests"]] == everything[2:]
        await intake.get(f"{PATH}?level=urgent", 422)
    command = await payload_at(bus, subjects.JOBS, 3)
    assert isinstance(command, FetchFile)
    assert command.request is not None
    assert command.request.overrides[-1].by == "address:127.0.0.1"


async def test_a_request_joins_that_of_the_unfinished_job_and_may_raise_it(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        asked = await ask(intake)
        raised = await ask(intake, metadata=URGENT)
        lowered = await ask(intake, priority="low", reason="it may wait")
        kept = await ask(intake, metadata=URGENT)
    answers = (asked, raised, lowered, kept)
    assert {answer["request_id"] for answer in answers} == {asked["request_id"]}
    assert [answer["priority_level"] for answer in answers] == ["medium", "critical", "low", "low"]
    assert raised["decided_by"] == ["Guideline: critical"]
    assert await messages_in(bus, subjects.JOBS) == 3


async def test_a_replay_keeps_the_request_and_has_a_new_deadline(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        asked = await ask(intake, priority="high", reason="desk waits")
        job = (await payload_at(bus, subjects.JOBS, 1)).job
        await bus.publish_event(a_skip(job))
        await has_status(intake, asked["request_id"], "skipped")
        answer = await intake.http.post(f"/jobs/{asked['job_id']}/replay")
        assert answer.status_code == 200, answer.text
        shown = await intake.get(f"{PATH}/{asked['request_id']}")
    command = await payload_at(bus, subjects.JOBS, 2)
    assert (command.job.request_id, command.job.priority_score) == (job.request_id, job.priority_score)
    assert command.job.deadline == command.job.requested_at + PROMISES[Priority.HIGH]
    assert datetime.fromisoformat(shown["deadline"]) == command.job.deadline
    assert (shown["status"], shown["deadline_kept"]) == ("pending", True)


async def stage(bus: Bus, job: Job) -> FileStaged:
    """Do what the fetcher does."""
    await bus.publish_event(JobStarted(job=job, stage=Stage.FETCH, start=1))
    command = an_import(job)
    ack = await bus.publish_command(command)
    staged = FileStaged(
        job=job, staged_path=command.staged_path, size_bytes=70, sha256=command.sha256, command_seq=ack.seq
    )
    await bus.publish_event(staged)
    return staged


async def has_status(intake: RunningIntake, request_id: str, status: str) -> None:
    async def is_so() -> bool:
        return bool((await intake.get(f"{PATH}/{request_id}"))["status"] == status)

    await eventually(is_so)
