"""Queueing files over HTTP, on a real nats-server."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest

from gexlake.api.jobs import PROMISES, Priority, Stage
from services.intake.history.decisions import priority_of
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, FileStaged, JobRequested, JobStarted
from shared.bus.reports.progress import Progress
from shared.bus.storage import posted_files
from tests.support.intake.running import (
    DAY_URL,
    SIGNED_URL,
    RunningIntake,
    all_events,
    messages_in,
    payload_at,
    recreate_stream,
    running_intake,
)
from tests.support.poll import eventually
from tests.support.values import a_fetch, a_job, a_request, a_skip, an_import, url_of

SHA = "a" * 64


@pytest.fixture
def intake_settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url, ack_wait_s=5)


def a_requested_fetch() -> FetchFile:
    """Return a command as intake publishes it for SIGNED_URL."""
    request = a_request()
    return a_fetch(a_job(**priority_of(request)), url=SIGNED_URL, request=request)


async def fetch_at(bus: Bus, sequence: int) -> FetchFile:
    command = await payload_at(bus, subjects.JOBS, sequence)
    assert isinstance(command, FetchFile)
    return command


async def test_a_posted_file_is_stored_once_before_its_command(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        bodies = ["[1]", "[1]", "[2]"]
        jobs = [await intake.queue(url=SIGNED_URL, raw_body=body) for body in bodies]
    assert [job["generation"] for job in jobs] == [1, 1, 2]
    assert await messages_in(bus, subjects.BODIES) == 2
    for sequence, content in ((1, b"[1]"), (2, b"[2]")):
        command = await fetch_at(bus, sequence)
        sha256 = hashlib.sha256(content).hexdigest()
        assert (command.body_seq, command.body_sha256) == (sequence, sha256)
        assert await posted_files.read(bus, sequence, sha256, 10) == content
        assert await posted_files.read(bus, sequence, SHA, 10) is None
    assert await posted_files.read(bus, 3, SHA, 10) is None


async def test_a_posted_url_is_a_queued_job_that_can_be_looked_at(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
        (state,) = intake.context.projection.requests
        assert state.request is not None
        assert queued.pop("estimated_processing_time").startswith("PT")
        assert queued == {
            "status": "queued",
            "id": str(a_job().job_id),
            "url": DAY_URL,
            "ticker": "NQ_NDX",
            "endpoint": "gex_zero",
            "trading_day": "2025-11-14",
            "priority": "medium",
            "generation": 1,
            "request_id": str(state.request.request_id),
            "priority_score": 0.5,
            "deadline": state.request.model_dump(mode="json")["deadline"],
            "queue_position": 1,
            "warning": None,
        }
        job = await intake.get(f"/jobs/{queued['id']}")
        assert [step["state"] for step in job["transitions"]] == ["pending"]
        assert (job["state"], job["status"], job["skipped"], job["rows"]) == (
            "pending",
            "pending",
            False,
            None,
        )
    command = await fetch_at(bus, 1)
    assert url_of(command) == SIGNED_URL
    assert command.url.get_secret_value() == DAY_URL
    (event,) = await all_events(bus)
    assert isinstance(event, JobRequested)
    assert (event.job, event.command_seq, event.request) == (command.job, 1, command.request)
    assert event.request is not None
    assert event.job.deadline == event.request.submitted_at + PROMISES[Priority.MEDIUM]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (json.dumps({"url": SIGNED_URL}), "text/plain;charset=UTF-8"),
        (json.dumps(json.dumps({"url": SIGNED_URL})), "application/json"),
        (json.dumps({"metadata": {"link": SIGNED_URL, "kind": "GEX_ZERO"}}), None),
    ],
)
async def test_browser_scripts_are_understood(
    bus: Bus, intake_settings: IntakeSettings, content: str, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    async with running_intake(intake_settings) as intake:
        answer = await intake.http.post("/gex_history_url", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert await messages_in(bus, subjects.JOBS) == 1


async def test_the_same_url_posted_many_times_at_once_is_one_message(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        answers = await asyncio.gather(*(intake.post({"url": SIGNED_URL}) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {(answer.json()["id"], answer.json()["generation"]) for answer in answers} == {
        (str(a_job().job_id), 1)
    }
    assert await messages_in(bus, subjects.JOBS) == 1
    assert await messages_in(bus, subjects.EVENTS) == 1


async def test_another_query_string_is_a_new_generation_of_the_same_job(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        first = await intake.queue(url=SIGNED_URL, priority="high")
        second = await intake.queue(url=f"{DAY_URL}?sig=S3CRET-two")
        listed = await intake.get("/jobs")
    assert (second["id"], second["generation"], second["priority"]) == (first["id"], 2, "high")
    assert (listed["total"], listed["jobs"][0]["generation"]) == (1, 2)
    assert url_of(await fetch_at(bus, 2)).endswith("S3CRET-two")


async def test_force_on_an_unfinished_job_is_one_more_message_and_only_one(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        await intake.queue(url=SIGNED_URL)
        forced = [await intake.queue(url=SIGNED_URL, force=True, reason="vendor fixed it") for _ in range(2)]
        plain = await intake.queue(url=SIGNED_URL)
    assert [answer["generation"] for answer in (*forced, plain)] == [2, 2, 2]
    command = await fetch_at(bus, 2)
    assert (command.force, command.reason) == (True, "vendor fixed it")
    assert await messages_in(bus, subjects.JOBS) == 2


async def test_a_finished_job_asked_for_again_is_a_new_generation(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        first = await intake.queue(url=SIGNED_URL)
        job = (await fetch_at(bus, 1)).job
        await bus.publish_event(a_skip(job))

        async def skipped() -> bool:
            return bool((await intake.get(f"/jobs/{first['id']}"))["skipped"])

        await eventually(skipped)
        again = await intake.queue(url=SIGNED_URL)
    assert again["generation"] == 2
    assert await messages_in(bus, subjects.JOBS) == 2


async def test_a_job_whose_command_was_purged_is_queued_again_only_once(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        await intake.queue(url=SIGNED_URL)
        await bus.js.purge_stream(subjects.JOBS)
        again = [await intake.queue(url=SIGNED_URL) for _ in range(2)]
        assert (await intake.get("/jobs"))["total"] == 1
    assert [answer["generation"] for answer in again] == [2, 2]
    assert await messages_in(bus, subjects.JOBS) == 1
    assert (await fetch_at(bus, 2)).job.generation == 2


@pytest.mark.parametrize("content", [None, b"no message of ours"])
async def test_a_job_whose_sequence_holds_another_message_is_queued_again(
    bus: Bus, intake_settings: IntakeSettings, content: bytes | None
) -> None:
    """JOBS was made anew while EVENTS was kept: the places that EVENTS tells hold other messages."""
    async with running_intake(intake_settings) as intake:
        await intake.queue(url=SIGNED_URL)
        await recreate_stream(bus, subjects.JOBS)
        if content is None:
            await bus.publish_command(a_fetch(a_job(ticker="SPX")))
        else:
            await bus.js.publish("gex.job.fetch.medium.SPX", content)
        again = [await intake.queue(url=SIGNED_URL) for _ in range(2)]
    assert [answer["generation"] for answer in again] == [2, 2]
    assert await messages_in(bus, subjects.JOBS) == 2
    assert (await fetch_at(bus, 2)).job.job_id == a_job().job_id


async def test_a_request_whose_answer_was_lost_is_the_same_message_when_sent_again(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    """Intake died between publishing the command and telling of it: only the command stands."""
    lost = a_requested_fetch()
    await bus.publish_command(lost)
    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
    assert (queued["generation"], queued["request_id"]) == (1, str(lost.job.request_id))
    assert await messages_in(bus, subjects.JOBS) == 1
    (event,) = await all_events(bus)
    assert isinstance(event, JobRequested)
    assert (event.job, event.command_seq, event.request) == (lost.job, 1, lost.request)


async def test_a_request_whose_answer_was_lost_is_refreshed_when_sent_with_another_query(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    await bus.publish_command(a_fetch(a_job(), url=f"{DAY_URL}?sig=old"))
    async with running_intake(intake_settings) as intake:
        assert (await intake.queue(url=SIGNED_URL))["generation"] == 2
    assert url_of(await fetch_at(bus, 2)) == SIGNED_URL


async def test_a_lost_request_that_a_worker_has_begun_keeps_its_generation(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    lost = a_requested_fetch()
    await bus.publish_command(lost)
    await bus.publish_event(JobStarted(job=lost.job, stage=Stage.FETCH, start=1))
    async with running_intake(intake_settings) as intake:
        assert (await intake.queue(url=SIGNED_URL))["generation"] == 1
        assert (await intake.queue(url=SIGNED_URL))["generation"] == 1
        assert (await intake.get("/jobs"))["jobs"][0]["state"] == "started"
    assert await messages_in(bus, subjects.JOBS) == 1


async def test_intake_started_again_knows_its_jobs(bus: Bus, intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
        for number in range(3):
            await intake.queue(
                url=f"https://hist.gex.bot/2025-11-1{number}_SPX_classic_gex_one.json?s={number}"
            )
    job = (await fetch_at(bus, 1)).job
    await bus.publish_event(JobStarted(job=job, stage=Stage.FETCH, start=1))
    ack = await bus.publish_command(an_import(job))
    await bus.publish_event(
        FileStaged(job=job, staged_path="p", size_bytes=70, sha256=SHA, command_seq=ack.seq)
    )
    async with running_intake(intake_settings) as intake:
        found = await intake.get(f"/jobs/{queued['id']}")
        assert [step["state"] for step in found["transitions"]] == ["pending", "started", "staged"]
        assert (found["bytes_fetched"], found["checksum"]) == (70, SHA)
        assert (await intake.get("/jobs?ticker=spx&limit=2"))["next"] == "/jobs?ticker=SPX&limit=2&offset=2"
        assert (await intake.queue(url=SIGNED_URL))["generation"] == 1
    assert await messages_in(bus, subjects.JOBS) == 5


async def test_progress_is_shown_while_the_fetch_goes_on(bus: Bus, intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
        job = a_job()
        progress = Progress(job_id=job.job_id, generation=1, stage=Stage.FETCH, done_bytes=40, total_bytes=70)

        async def shown() -> bool:
            await bus.client.publish(subjects.progress(job.job_id), progress.model_dump_json().encode())
            found = await intake.get(f"/jobs/{queued['id']}")
            return (found["bytes_fetched"], found["bytes_expected"]) == (40, 70)

        await eventually(shown)


async def test_bad_filters_and_unknown_jobs_are_refused_by_name(intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        for path, status, field in (
            ("/jobs?limit=501", 422, "limit"),
            ("/jobs?status=lost", 422, "status"),
            ("/jobs?ticker=a/b", 422, "ticker"),
            ("/jobs?sort=up", 422, "sort"),
            ("/jobs/17", 422, "id"),
            (f"/jobs/{a_job().job_id}", 404, "id"),
            ("/nothing", 404, "path"),
        ):
            error = (await intake.get(path, status))["error"]
            assert error["field"] == field
            assert error["message"]
        assert "30 days" in (await unknown(intake))["message"]
        answer = await intake.http.delete("/jobs")
        assert (answer.status_code, answer.json()["error"]["field"]) == (405, "method")


async def unknown(intake: RunningIntake) -> dict[str, str]:
    error: dict[str, str] = (await intake.get(f"/jobs/{a_job().job_id}", 404))["error"]
    return error
