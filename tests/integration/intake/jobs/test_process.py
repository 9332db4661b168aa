"""Intake as a process: its start, its end, being killed at each durable step, and what it never tells."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from gexlake.api import services
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, Job, JobRequested
from tests.support.intake.running import (
    DAY_URL,
    SIGNED_URL,
    IntakeProcess,
    all_events,
    envelope_at,
    intake_process,
    messages_in,
    payload_at,
)
from tests.support.poll import eventually
from tests.support.values import a_job


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


async def status_of(http: httpx.AsyncClient, intake: IntakeProcess, path: str = "/jobs") -> int | None:
    try:
        return (await http.get(f"{intake.url}{path}")).status_code
    except httpx.TransportError:
        return None


async def up(http: httpx.AsyncClient, intake: IntakeProcess) -> None:
    async def knows_its_jobs_and_rules() -> bool:
        assert intake.process.poll() is None
        statuses = [await status_of(http, intake, path) for path in ("/jobs", "/api/v1/rules")]
        return statuses == [200, 200]

    await eventually(knows_its_jobs_and_rules)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["accepted", "command_published", "event_published"])
async def test_killed_at_a_durable_step_the_request_sent_again_is_one_job(
    step: str, nats_url: str, bus: Bus, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    environment = {"GEXLAKE_NATS_URL": nats_url, "GEXLAKE_ACK_WAIT_S": "5"}
    with intake_process(tmp_path, **environment, GEXLAKE_FAILPOINT=f"intake.{step}") as intake:
        await up(http, intake)
        with pytest.raises(httpx.TransportError):
            await http.post(f"{intake.url}/gex_history_url", json={"url": SIGNED_URL})
        assert intake.process.wait(timeout=10) == -9
    with intake_process(tmp_path, **environment) as intake:
        await up(http, intake)
        answer = await http.post(f"{intake.url}/gex_history_url", json={"url": SIGNED_URL})
        assert (answer.status_code, answer.json()["generation"]) == (200, 1)
        assert (await http.get(f"{intake.url}/jobs")).json()["total"] == 1
    assert await messages_in(bus, subjects.JOBS) == 1
    assert await messages_in(bus, subjects.EVENTS) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", ["accepted", "command_published", "event_published"])
async def test_killed_at_a_durable_step_an_answered_request_keeps_score_and_deadline(
    step: str, nats_url: str, bus: Bus, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    environment = {"GEXLAKE_NATS_URL": nats_url, "GEXLAKE_ACK_WAIT_S": "5"}
    failpoint = {"GEXLAKE_FAILPOINT": f"intake.{step}"}
    path = REQUESTS
    body = {"source_url": SIGNED_URL, "data_type": "historical", "market_symbol": "NDX"}
    urgent = {**body, "source_url": f"{SIGNED_URL}2".replace("14", "13"), "metadata": {"data_age_s": 900}}
    change = {"priority_level": "critical", "reason": "desk waits"}
    with intake_process(tmp_path, **environment) as intake:
        await up(http, intake)
        first = (await http.post(f"{intake.url}{path}", json=body)).json()
        intake.end(signal.SIGKILL)
    with intake_process(tmp_path, **environment, **failpoint) as intake:
        await up(http, intake)
        with pytest.raises(httpx.TransportError):
            await http.post(f"{intake.url}{path}", json=urgent)
    with intake_process(tmp_path, **environment, **failpoint) as intake:
        await up(http, intake)
        before = (await http.get(f"{intake.url}{path}/{first['request_id']}")).json()
        with pytest.raises(httpx.TransportError):
            await http.patch(f"{intake.url}{path}/{first['request_id']}", json=change)
    with intake_process(tmp_path, **environment) as intake:
        await up(http, intake)
        second = (await http.post(f"{intake.url}{path}", json=urgent)).json()
        changed = (await http.patch(f"{intake.url}{path}/{first['request_id']}", json=change)).json()
        third = (await http.get(f"{intake.url}{path}/{second['request_id']}")).json()
    promised = ("request_id", "priority_score", "priority_level", "deadline", "job_id")
    assert [before[name] for name in promised] == [first[name] for name in promised]
    assert [third[name] for name in promised] == [second[name] for name in promised]
    assert second["priority_level"] == "low"
    assert len(changed["overrides"]) == 1
    assert await messages_in(bus, subjects.JOBS) == 3
    commands = [await payload_at(bus, subjects.JOBS, number) for number in (1, 2, 3)]
    jobs = {
        command.job.generation: command.job
        for command in commands
        if command.job.job_id == UUID(first["job_id"])
    }
    assert _promise(jobs[1]) == _said(first)
    assert _promise(jobs[2]) == _said(changed)
    (other,) = [command.job for command in commands if command.job.job_id == UUID(second["job_id"])]
    assert _promise(other) == _said(second)


def _promise(job: Job) -> tuple[object, ...]:
    return str(job.request_id), job.priority_score, job.priority, job.deadline


def _said(answer: dict[str, Any]) -> tuple[object, ...]:
    deadline = answer["deadline"] and datetime.fromisoformat(answer["deadline"])
    return answer["request_id"], answer["priority_score"], answer["priority_level"], deadline


@pytest.mark.slow
async def test_killed_before_its_answer_a_cancellation_stays(
    nats_url: str, bus: Bus, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    environment = {"GEXLAKE_NATS_URL": nats_url}
    job = a_job()
    await bus.publish_event(JobRequested(job=job, command_seq=1, url_sha256="0" * 64))
    path = f"/api/v1/processing-jobs/{job.job_id}"
    with intake_process(tmp_path, **environment, GEXLAKE_FAILPOINT="intake.event_published") as intake:
        await up(http, intake)
        with pytest.raises(httpx.TransportError):
            await http.delete(f"{intake.url}{path}")
        assert intake.process.wait(timeout=10) == -9
    for number in (signal.SIGKILL, signal.SIGTERM):
        with intake_process(tmp_path, **environment) as intake:
            await up(http, intake)
            assert (await http.get(f"{intake.url}/jobs/{job.job_id}")).json()["state"] == "cancelled"
            assert (await http.delete(f"{intake.url}{path}")).status_code == 200
            intake.end(number)
    assert await messages_in(bus, subjects.EVENTS) == 2


def test_a_network_without_keys_is_one_clear_line(tmp_path: Path) -> None:
    with intake_process(tmp_path, "--host", "0.0.0.0", GEXLAKE_NATS_URL="nats://127.0.0.1:1") as intake:
        assert intake.process.wait(timeout=20) == 1
        (line,) = intake.end().splitlines()
        assert line.startswith("gexlake: intake would serve a network without API keys, on 0.0.0.0")


async def test_a_port_in_use_is_one_clear_line(http: httpx.AsyncClient, tmp_path: Path) -> None:
    with intake_process(tmp_path, GEXLAKE_NATS_URL="nats://127.0.0.1:1") as first:

        async def listens() -> bool:
            return await status_of(http, first) is not None

        await eventually(listens)
        port = first.url.rpartition(":")[2]
        with intake_process(tmp_path, "--port", port, GEXLAKE_NATS_URL="nats://127.0.0.1:1") as second:
            assert second.process.wait(timeout=20) == 1
            (line,) = [line for line in second.end().splitlines() if "cannot" in line]
        assert f"port {port}" in line
        assert "GEXLAKE_PORT" in line
        first.end()
        assert first.process.returncode == 0  # it stops, too, while it still waits for the broker


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RATE_LIMIT_HISTORY": "often"}, "RATE_LIMIT_HISTORY"),
        ({"GEXLAKE_ALLOWED_SOURCES": "http://hist.gex.bot/"}, "GEXLAKE_ALLOWED_SOURCES"),
        ({"GEXLAKE_SSL_CERTFILE": __file__}, "the TLS files are unusable"),
        ({"GEXLAKE_SSL_KEYFILE": __file__}, "GEXLAKE_SSL_KEYFILE is set without GEXLAKE_SSL_CERTFILE"),
    ],
)
async def test_an_unusable_setting_is_one_clear_line(
    environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    with intake_process(tmp_path, **environment) as intake:
        assert intake.process.wait(timeout=20) == 1
        (line,) = [line for line in intake.end().splitlines() if "service_started" not in line]
    assert words in line


BODIES: Final[tuple[object, ...]] = (
    {"url": SIGNED_URL},
    {"url": f"{DAY_URL}?sig=S3CRET-two"},
    {"url": SIGNED_URL, "force": True, "reason": f"as {SIGNED_URL}"},
    {"url": "https://me:S3CRET@hist.gex.bot/a.json?sig=S3CRET"},
    {"url": "https://evil.test/a.json?sig=S3CRET"},
    {"url": SIGNED_URL, "ticker": "https://a.test/?sig=S3CRET"},
    {"url": SIGNED_URL, "endpoint": "gex_https://a.test/?sig=S3CRET"},
    {"url": SIGNED_URL, "priority": "https://a.test/?sig=S3CRET"},
    ["https://a.test/?sig=S3CRET"],
)


REQUESTS: Final = "/api/v1/ingest/priority"
REQUEST: Final = {
    "source_url": f"{DAY_URL.replace('14', '13')}?sig=S3CRET-three",
    "data_type": "historical",
    "market_symbol": "NDX",
    "metadata": {"link": SIGNED_URL, "api_key": "S3CRET", "S3": f"{DAY_URL}?sig=S3CRET"},
    "priority": "high",
    "reason": f"for {SIGNED_URL}",
}


async def kept_reasons(bus: Bus) -> list[str]:
    """Return why data may be replaced, as the commands say it and the ledger will."""
    count = await messages_in(bus, subjects.JOBS)
    commands = [await payload_at(bus, subjects.JOBS, number) for number in range(1, count + 1)]
    return [each.reason for each in commands if isinstance(each, FetchFile) and each.reason]


async def test_no_answer_message_log_or_reason_holds_a_signed_query(
    nats_url: str, bus: Bus, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    told: list[str] = []
    flags = ("--log-level", "debug", "--log-dir", str(logs))
    with intake_process(tmp_path, *flags, GEXLAKE_NATS_URL=nats_url) as intake:
        await up(http, intake)
        told += [(await http.post(f"{intake.url}/gex_history_url", json=body)).text for body in BODIES]
        told.append((await http.post(f"{intake.url}{REQUESTS}", json=REQUEST)).text)
        told.append((await http.get(f"{intake.url}{REQUESTS}")).text)
        job_id = json.loads(told[0])["id"]
        for options in ({}, {"force": True, "reason": f"again: {SIGNED_URL}"}):
            told.append((await http.post(f"{intake.url}/jobs/{job_id}/replay", json=options)).text)
        reply = await bus.client.request(
            services.REPLAY.subject, json.dumps({"stream_seq": 1}).encode(), timeout=5
        )
        told.append(reply.data.decode())
        paths = ("/jobs", f"/jobs/{job_id}", "/status", "/metrics", "/jobs?ticker=sig=S3CRET")
        told += [(await http.get(f"{intake.url}{path}")).text for path in paths]
        told.append(intake.end())
        assert intake.process.returncode == 0
    told.append((logs / "intake.log").read_text())
    reasons = await kept_reasons(bus)
    assert {reason.split()[0] for reason in reasons} == {"as", "again:"}
    told += reasons
    told += [event.model_dump_json() for event in await all_events(bus)]
    commands = range(1, await messages_in(bus, subjects.JOBS) + 1)
    told += [(await envelope_at(bus, subjects.JOBS, number)).model_dump_json() for number in commands]
    assert len(told) > 15
    assert any("job_queued" in text for text in told)
    assert [text for text in told if "S3CRET" in text] == []
