"""Health, readiness, status, metrics, keys and CORS of a running intake."""

from __future__ import annotations

import re
from typing import Final

import pytest

from gexlake.api.jobs import Priority, Stage
from services.intake.settings import IntakeSettings
from services.intake.state.dead_letters import StoredLetters
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from tests.support.intake.running import SIGNED_URL, RunningIntake, messages_in, running_intake
from tests.support.poll import eventually


@pytest.fixture
def intake_settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url, ack_wait_s=5)


async def test_ready_needs_the_importer(bus: Bus, intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        assert (await intake.get("/ready", 503))["reasons"] == ["the importer does not answer"]
        async with announce_service(bus, "importer", "stands in"):
            assert await intake.get("/ready") == {"ready": True, "reasons": []}


async def test_ready_says_that_a_stream_is_full(bus: Bus, intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake, announce_service(bus, "importer", "stands in"):
        config = (await bus.js.stream_info(subjects.JOBS)).config
        await bus.js.update_stream(config.evolve(max_bytes=1))
        (reason,) = (await intake.get("/ready", 503))["reasons"]
        assert "JOBS is full" in reason


async def test_a_deleted_stream_makes_intake_unready_until_it_is_restored(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake, announce_service(bus, "importer", "stands in"):
        before = (await bus.js.stream_info(subjects.JOBS)).config
        await bus.js.delete_stream(subjects.JOBS)
        (reason,) = (await intake.get("/ready", 503))["reasons"]
        assert "JOBS does not exist" in reason

        async def is_ready() -> bool:
            return (await intake.http.get("/ready")).status_code == 200

        await eventually(is_ready, within_s=10)
        assert (await bus.js.stream_info(subjects.JOBS)).config == before

        async def has_consumers() -> bool:
            return len(await bus.js.consumers_info(subjects.JOBS)) == len(Stage) * len(Priority)

        await eventually(has_consumers)
        assert (await intake.queue(url=SIGNED_URL))["generation"] == 1


async def test_status_tells_queues_jobs_dead_letters_and_who_is_alive(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake, announce_service(bus, "fetcher", "stands in"):
        await intake.queue(url=SIGNED_URL, priority="high")
        await bus.js.publish(subjects.dead("gex.job.fetch.high.NQ_NDX"), b"x")

        async def alive() -> bool:
            return {"fetcher", "intake"} <= set((await intake.get("/status"))["services"])

        await eventually(alive)
        await eventually(lambda: intake.context.dead_letters.unresolved(StoredLetters(1, 1, 1, frozenset())))
        status = await intake.get("/status")
        assert status["broker"] == {"connected": True}
        assert status["queue"]["fetch"] == {"critical": 0, "high": 1, "medium": 0, "low": 0}
        assert status["queue"]["import"] == {"critical": 0, "high": 0, "medium": 0, "low": 0}
        assert (status["dead_letters"], status["jobs"]["pending"]) == (1, 1)
        (beat,) = status["services"]["fetcher"]
        assert beat["version"] == status["version"]
        assert beat["age_s"] < 10


async def test_metrics_count_requests_by_route_and_show_the_queue(intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        queued = await intake.queue(url=SIGNED_URL)
        await intake.get(f"/jobs/{queued['id']}")
        await intake.get("/jobs/17", 422)
        await intake.get("/nothing", 404)
        text = (await intake.http.get("/metrics")).text
    for line in (
        'gexlake_http_requests_total{method="POST",route="/gex_history_url",status="200"} 1.0',
        'gexlake_http_requests_total{method="GET",route="/jobs/{id}",status="200"} 1.0',
        'gexlake_http_requests_total{method="GET",route="/jobs/{id}",status="422"} 1.0',
        'gexlake_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'gexlake_queue_depth{priority="medium",stage="fetch"} 1.0',
        'gexlake_jobs{state="pending"} 1.0',
        "gexlake_dead_letters 0.0",
        "gexlake_broker_up 1.0",
    ):
        assert line in text.splitlines()


async def test_with_keys_set_all_but_the_open_routes_need_one(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, api_keys=("one", "two"))
    async with running_intake(settings) as intake:
        for path in ("/health", "/ready", "/docs", "/openapi.json"):
            assert (await intake.http.get(path)).status_code in {200, 503}
        for path in ("/jobs", "/jobs/17", "/status", "/metrics"):
            answer = await intake.http.get(path)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "X-API-Key" in answer.json()["error"]["message"]
        assert (await intake.post({"url": SIGNED_URL})).status_code == 401
        for headers in ({"Authorization": "Bearer two"}, {"X-API-Key": "one"}):
            assert (await intake.post({"url": SIGNED_URL}, headers=headers)).status_code == 200
        wrong = await intake.post({"url": SIGNED_URL}, headers={"X-API-Key": "thr\xe9e".encode("latin-1")})
        assert wrong.status_code == 401


async def test_each_key_has_a_rate_of_its_own(nats_url: str) -> None:
    settings = IntakeSettings(
        nats_url=nats_url, ack_wait_s=5, api_keys=("one", "two"), rate_limit_history="1/minute"
    )
    async with running_intake(settings) as intake:

        async def status(key: str) -> int:
            return (await intake.post({"url": SIGNED_URL}, headers={"X-API-Key": key})).status_code

        assert [await status(key) for key in ("one", "one", "two")] == [200, 429, 200]


PAGE: Final = {"Origin": "https://mine.test"}


async def preflight(intake: RunningIntake, origin: str) -> dict[str, str]:
    answer = await intake.http.options(
        "/gex_history_url",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-api-key",
        },
    )
    return {"status": str(answer.status_code), **answer.headers}


async def test_pages_of_a_listed_origin_may_post_and_read_the_errors(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, cors_origins=("https://mine.test",))
    async with running_intake(settings) as intake:
        mine = await preflight(intake, "https://mine.test")
        assert (mine["status"], mine["access-control-allow-origin"]) == ("200", "https://mine.test")
        assert "access-control-allow-private-network" not in mine
        for content in (b"{}", b"nonsense"):
            answer = await intake.http.post("/gex_history_url", content=content, headers=PAGE)
            assert answer.status_code in {400, 422}
            assert answer.headers["access-control-allow-origin"] == "https://mine.test"
        other = await preflight(intake, "https://other.test")
        assert other["status"] == "403"
        assert "access-control-allow-origin" not in other


async def test_a_page_of_another_origin_neither_queues_nor_reads(
    bus: Bus, intake_settings: IntakeSettings
) -> None:
    async with running_intake(intake_settings) as intake:
        beacon = {"Origin": "https://evil.test", "Content-Type": "text/plain;charset=UTF-8"}
        answer = await intake.post({"url": SIGNED_URL}, headers=beacon)
        assert (answer.status_code, answer.json()["error"]["field"]) == (403, "origin")
        assert await messages_in(bus, subjects.JOBS) == 0
        assert (await intake.http.get("/jobs", headers=beacon)).status_code == 403
        metrics = (await intake.http.get("/metrics")).text
        assert 'gexlake_http_requests_total{method="POST",route="unmatched",status="403"} 1.0' in metrics


async def test_an_unexpected_error_is_json_with_cors_headers(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = IntakeSettings(nats_url=nats_url, ack_wait_s=5, cors_origins=("https://mine.test",))
    async with running_intake(settings) as intake:

        async def fails(_: object) -> None:
            raise ValueError(SIGNED_URL)

        monkeypatch.setattr(intake.context.commands, "accept", fails)
        answer = await intake.post({"url": SIGNED_URL}, headers=PAGE)
        assert (answer.status_code, answer.json()["error"]["rule"]) == (500, "unexpected")
        assert answer.headers["access-control-allow-origin"] == "https://mine.test"
        assert "S3CRET" not in answer.text


async def test_the_api_describes_itself_with_its_errors(intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        described = await intake.get("/openapi.json")
        assert "swagger" in (await intake.http.get("/docs")).text
    post = described["paths"]["/gex_history_url"]["post"]
    assert {"200", "400", "401", "413", "415", "422", "429", "503"} <= set(post["responses"])
    assert post["requestBody"]["content"]["text/plain"]
    assert set(described["paths"]) == {
        "/gex_history_url",
        "/gex",
        "/uw",
        "/gex/latest",
        "/gex/stream",
        "/backfill",
        "/api/v1/ingest/priority/queue",
        "/api/v1/processing-jobs",
        "/api/v1/processing-jobs/{job_id}",
        "/api/v1/ingest/priority",
        "/api/v1/ingest/priority/{request_id}",
        "/api/v1/gaps",
        "/api/v1/gaps/detect",
        "/api/v1/registry/execute",
        "/api/v1/registry/runs",
        "/api/v1/registry/snapshots",
        "/api/v1/scheduler/jobs/{job_id}/run",
        "/api/v1/scheduler/start",
        "/api/v1/scheduler/status",
        "/api/v1/scheduler/stop",
        "/api/v1/snapshots",
        "/api/v1/rules",
        "/api/v1/rules/evaluate",
        "/api/v1/rules/{rule_id}",
        "/api/v1/rules/{rule_id}/history",
        "/api/v1/sla",
        "/api/v1/sources",
        "/api/v1/sources/{source_id}",
        "/api/v1/sql",
        "/api/v1/symbols",
        "/api/v1/symbols/bulk",
        "/api/v1/symbols/{symbol}",
        "/api/v1/symbols/{symbol}/status",
        "/gex/snapshots",
        "/jobs",
        "/jobs/{id}",
        "/jobs/{id}/replay",
        "/health",
        "/ready",
        "/status",
        "/metrics",
    }


async def test_the_docs_load_nothing_from_another_host(intake_settings: IntakeSettings) -> None:
    async with running_intake(intake_settings) as intake:
        page = (await intake.http.get("/docs")).text
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert {path.rpartition(".")[2] for path in loaded} == {"js", "css", "png"}
        for path in loaded:
            assert path.startswith("/")
            assert (await intake.http.get(path)).status_code == 200
