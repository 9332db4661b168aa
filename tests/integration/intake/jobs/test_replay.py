"""Replay by job, by place in JOBS and by dead letter; over NATS and over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.msg import Msg

from gexlake.api import services
from gexlake.api.jobs import Stage
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import REPLAY_HEADER, Bus
from shared.bus.consumer import dead_letters
from shared.bus.messages import FetchFile, FileStaged, ImportFile, JobFailed, JobReplayed
from shared.errors import Terminal
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
from tests.support.values import a_fetch, a_job, an_import, url_of

SHA = "a" * 64


@pytest.fixture
async def intake(nats_url: str) -> AsyncIterator[RunningIntake]:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5)
    async with running_intake(settings) as running:
        yield running


async def ask(bus: Bus, **request: Any) -> Msg:
    return await bus.client.request(services.REPLAY.subject, json.dumps(request).encode(), timeout=10)


async def headers_at(bus: Bus, sequence: int) -> dict[str, str]:
    message = await bus.js.get_msg(subjects.JOBS, seq=sequence)
    return message.headers or {}


async def queue(intake: RunningIntake, **body: Any) -> str:
    return str((await intake.queue(url=SIGNED_URL, **body))["id"])


async def stage_and_wait(intake: RunningIntake, bus: Bus) -> None:
    """Do what the fetcher does: publish the import and tell of it."""
    fetch = await payload_at(bus, subjects.JOBS, 1)
    ack = await bus.publish_command(an_import(fetch.job))
    event = FileStaged(job=fetch.job, staged_path="p", size_bytes=70, sha256=SHA, command_seq=ack.seq)
    await bus.publish_event(event)
    await in_state(intake, str(fetch.job.job_id), "staged")


async def in_state(intake: RunningIntake, job_id: str, state: str) -> None:
    async def reached() -> bool:
        return bool((await intake.get(f"/jobs/{job_id}"))["state"] == state)

    await eventually(reached)


async def test_a_job_is_replayed_by_its_id_over_http(intake: RunningIntake, bus: Bus) -> None:
    job_id = await queue(intake)
    answer = await intake.http.post(f"/jobs/{job_id}/replay")
    assert answer.json() == {
        "status": "queued",
        "id": job_id,
        "generation": 2,
        "stage": "fetch",
        "replay_of": "job",
        "command_seq": 2,
    }
    again = await payload_at(bus, subjects.JOBS, 2)
    assert isinstance(again, FetchFile)
    assert url_of(again) == SIGNED_URL
    assert (await headers_at(bus, 2))[REPLAY_HEADER] == "job"
    replayed = (await all_events(bus))[-1]
    assert isinstance(replayed, JobReplayed)
    assert (replayed.job, replayed.command_seq) == (again.job, 2)
    assert again.job.requested_at > (await payload_at(bus, subjects.JOBS, 1)).job.requested_at
    shown = await intake.get(f"/jobs/{job_id}")
    assert (shown["state"], shown["generation"], shown["replay_of"]) == ("pending", 2, "job")


async def test_a_staged_job_is_replayed_from_its_import_unless_the_fetch_is_asked_for(
    intake: RunningIntake, bus: Bus
) -> None:
    job_id = await queue(intake)
    await stage_and_wait(intake, bus)
    answer = json.loads((await ask(bus, job_id=job_id)).data)
    assert (answer["stage"], answer["generation"], answer["replay_of"]) == ("import", 2, "job")
    assert isinstance(await payload_at(bus, subjects.JOBS, answer["command_seq"]), ImportFile)
    forced = {"stage": "fetch", "force": True, "reason": "vendor fixed it"}
    answer = (await intake.http.post(f"/jobs/{job_id}/replay", json=forced)).json()
    assert (answer["stage"], answer["generation"]) == ("fetch", 3)
    again = await payload_at(bus, subjects.JOBS, answer["command_seq"])
    assert isinstance(again, FetchFile)
    assert (again.force, again.reason) == (True, "vendor fixed it")


async def test_a_command_that_is_gone_is_rebuilt_when_it_held_no_secret(
    intake: RunningIntake, bus: Bus
) -> None:
    url = DAY_URL.replace("gex_zero", "gex_one")
    plain, signed = (await intake.queue(url=url))["id"], await queue(intake)
    await bus.js.purge_stream(subjects.JOBS)
    answer = json.loads((await ask(bus, job_id=plain)).data)
    again = await payload_at(bus, subjects.JOBS, answer["command_seq"])
    assert isinstance(again, FetchFile)
    assert (url_of(again), again.job.generation) == (url, 2)
    refused = await ask(bus, job_id=signed)
    assert (refused.headers or {})["Nats-Service-Error-Code"] == "404"


async def test_an_import_command_that_is_gone_is_rebuilt_from_the_staged_file(
    intake: RunningIntake, bus: Bus
) -> None:
    job_id = await queue(intake)
    await stage_and_wait(intake, bus)
    await bus.js.purge_stream(subjects.JOBS)
    answer = json.loads((await ask(bus, job_id=job_id)).data)
    again = await payload_at(bus, subjects.JOBS, answer["command_seq"])
    assert isinstance(again, ImportFile)
    assert (again.staged_path, again.size_bytes, again.sha256, again.modified_ns) == ("p", 70, SHA, 0)


async def test_a_command_that_is_rebuilt_is_forced_as_the_one_that_is_gone(
    intake: RunningIntake, bus: Bus
) -> None:
    url, why = DAY_URL.replace("gex_zero", "gex_one"), {"force": True, "reason": "vendor fixed it"}
    staged, posted = await queue(intake, **why), (await intake.queue(url=url))["id"]
    await stage_and_wait(intake, bus)
    await intake.http.post(f"/jobs/{posted}/replay", json=why)
    for job_id in (staged, staged, posted, posted):  # what is forced stays so
        await bus.js.purge_stream(subjects.JOBS)
        answer = json.loads((await ask(bus, job_id=job_id)).data)
        again = await payload_at(bus, subjects.JOBS, answer["command_seq"])
        assert isinstance(again, ImportFile if job_id == staged else FetchFile)
        assert (again.force, again.reason) == (True, "vendor fixed it")


async def test_a_job_whose_newest_fetch_failed_is_not_replayed_from_an_older_file(
    intake: RunningIntake, bus: Bus
) -> None:
    job_id = await queue(intake)
    await stage_and_wait(intake, bus)
    refreshed = await intake.queue(url=f"{SIGNED_URL}-new")
    fetch = await payload_at(bus, subjects.JOBS, 3)
    failed = JobFailed(job=fetch.job, stage=Stage.FETCH, failures=3, final=True, error="403")
    await bus.publish_event(failed)
    await in_state(intake, job_id, "failed")
    answer = (await intake.http.post(f"/jobs/{job_id}/replay")).json()
    assert (answer["stage"], answer["generation"]) == ("fetch", refreshed["generation"] + 1)


async def is_refused_as_gone(intake: RunningIntake, job_id: str, stage: str, sequence: int) -> None:
    answer = await intake.http.post(f"/jobs/{job_id}/replay", json={"stage": stage})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (404, "job_id")
    assert (
        f"the {stage} command of the job {job_id} is no longer message {sequence} of JOBS"
        in (error["message"])
    )
    assert "post the URL again" in error["message"]


async def test_a_job_whose_command_was_purged_is_not_replayed(intake: RunningIntake, bus: Bus) -> None:
    job_id = await queue(intake)
    await bus.js.purge_stream(subjects.JOBS)
    await is_refused_as_gone(intake, job_id, "fetch", 1)
    assert await messages_in(bus, subjects.JOBS) == 0


async def test_another_job_in_the_place_of_a_command_is_not_replayed_instead(
    intake: RunningIntake, bus: Bus
) -> None:
    """JOBS was made anew while EVENTS was kept: the places that EVENTS tells hold other messages."""
    job_id = await queue(intake)
    await recreate_stream(bus, subjects.JOBS)
    await bus.publish_command(a_fetch(a_job(ticker="SPX")))
    await is_refused_as_gone(intake, job_id, "fetch", 1)
    assert await messages_in(bus, subjects.JOBS) == 1


async def test_another_stage_in_the_place_of_a_command_is_not_replayed_instead(
    intake: RunningIntake, bus: Bus
) -> None:
    job_id = await queue(intake)
    await stage_and_wait(intake, bus)
    await recreate_stream(bus, subjects.JOBS)
    for number in (1, 2):
        await intake.queue(url=f"{SIGNED_URL}-{number}")
    answer = json.loads((await ask(bus, job_id=job_id, stage="import")).data)
    again = await payload_at(bus, subjects.JOBS, answer["command_seq"])
    assert isinstance(again, ImportFile)  # rebuilt: a fetch stands where the import command stood
    assert again.sha256 == SHA


async def test_a_message_of_jobs_is_replayed_by_its_place(intake: RunningIntake, bus: Bus) -> None:
    job_id = await queue(intake)
    answer = json.loads((await ask(bus, stream_seq=1)).data)
    assert (answer["id"], answer["generation"], answer["replay_of"]) == (job_id, 2, "JOBS:1")
    assert (await headers_at(bus, answer["command_seq"]))[REPLAY_HEADER] == "JOBS:1"


async def test_a_dead_letter_is_replayed_although_events_has_forgotten_the_job(
    intake: RunningIntake, bus: Bus
) -> None:
    await bus.publish_command(a_fetch(a_job(generation=5), url=SIGNED_URL))
    consumer = subjects.durable(Stage.FETCH, a_job().priority)
    pulled = await bus.js.pull_subscribe_bind(consumer, subjects.JOBS)
    (message,) = await pulled.fetch(1)
    letter = await dead_letters.publish(bus, message, Terminal("no such file"))
    await eventually(lambda: counts_dead_letters(intake, unresolved=1))
    answer = json.loads((await ask(bus, dead_letter=letter.seq)).data)
    assert (answer["id"], answer["generation"], answer["replay_of"]) == (
        str(a_job().job_id),
        6,
        f"DEAD:{letter.seq}",
    )
    assert (await intake.get(f"/jobs/{answer['id']}"))["state"] == "pending"
    await eventually(lambda: counts_dead_letters(intake, unresolved=0))
    assert "gexlake_dead_letters 0.0" in (await intake.http.get("/metrics")).text


async def counts_dead_letters(intake: RunningIntake, unresolved: int) -> bool:
    status = await intake.get("/status")
    return (status["dead_letters"], status["dead_letters_stored"]) == (unresolved, 1)


async def test_replays_converge_on_one_generation_each(intake: RunningIntake, bus: Bus) -> None:
    await queue(intake)
    answers = [json.loads((await ask(bus, stream_seq=1)).data) for _ in range(3)]
    assert [answer["generation"] for answer in answers] == [2, 3, 4]
    assert await messages_in(bus, subjects.JOBS) == 4


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"job_id": str(a_job().job_id)}, "404", f"there is no job {a_job().job_id}"),
        ({"stream_seq": 99}, "404", "there is no message 99 in JOBS"),
        ({"dead_letter": 99}, "404", "there is no message 99 in DEAD"),
        ({}, "400", "exactly one of job_id, stream_seq and dead_letter"),
        ({"stream_seq": 1, "stage": "import"}, "400", "a command of the fetch stage"),
        ({"stream_seq": 1, "force": True}, "400", "needs a reason"),
        ({"stream_seq": "one"}, "400", "stream_seq"),
        ({"stream_seq": 2}, "400", "cannot be replayed"),
    ],
)
@pytest.mark.usefixtures("intake")
async def test_a_replay_that_cannot_be_is_answered_with_code_and_reason(
    bus: Bus, request_: dict[str, Any], code: str, words: str
) -> None:
    await bus.publish_command(a_fetch(a_job(ticker="SPX")))
    await bus.js.publish("gex.job.fetch.medium.SPX", b"no message of ours")
    answer = await ask(bus, **request_)
    assert answer.headers is not None
    assert answer.headers["Nats-Service-Error-Code"] == code
    assert words in answer.headers["Nats-Service-Error"]
    assert await messages_in(bus, subjects.JOBS) == 2


async def test_over_http_the_same_refusals_are_json(intake: RunningIntake) -> None:
    missing = await intake.http.post(f"/jobs/{a_job().job_id}/replay")
    assert (missing.status_code, missing.json()["error"]["field"]) == (404, "id")
    job_id = await queue(intake)
    bad = await intake.http.post(f"/jobs/{job_id}/replay", json={"stage": "export"})
    assert (bad.status_code, bad.json()["error"]["field"]) == (422, "stage")
    early = await intake.http.post(f"/jobs/{job_id}/replay", json={"stage": "import"})
    assert (early.status_code, early.json()["error"]["field"]) == (404, "stage")


@pytest.mark.usefixtures("intake")
async def test_the_endpoint_describes_itself_to_the_nats_cli(bus: Bus) -> None:
    told = json.loads((await bus.client.request("$SRV.INFO.intake", b"", timeout=5)).data)
    (endpoint,) = (one for one in told["endpoints"] if one["name"] == "replay")
    assert endpoint["subject"] == "gex.svc.jobs.replay"
    assert "job_id" in endpoint["metadata"]["request"]
