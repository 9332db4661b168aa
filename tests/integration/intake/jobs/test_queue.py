"""The queue, the promises and the processing jobs over HTTP, of a running intake."""

from __future__ import annotations

import pytest

from gexlake.api.jobs import Priority, deadline_after
from services.intake.settings import IntakeSettings
from shared.bus.connection import Bus
from shared.bus.reports.presence import announce_service
from tests.support.intake.events import imported, numbered, requested, started
from tests.support.intake.running import running_intake
from tests.support.poll import eventually
from tests.support.values import REQUEST_ID, a_request

QUEUE = "/api/v1/ingest/priority/queue"


@pytest.fixture
def settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url)


async def test_a_request_is_followed_from_the_queue_to_its_promise(
    bus: Bus, settings: IntakeSettings
) -> None:
    now = bus.clock()
    job = numbered(1, Priority.HIGH, request_id=REQUEST_ID).model_copy(
        update={"requested_at": now, "deadline": deadline_after(Priority.HIGH, now)}
    )
    path = f"/api/v1/processing-jobs/{job.job_id}"
    async with running_intake(settings) as intake, announce_service(bus, "fetcher", "stands in", slots=4):
        await bus.publish_event(requested(job, a_request(submitted_at=now, requested_at=now)))
        await eventually(lambda: intake.context.queue.depth == 1)
        await eventually(lambda: any(beat.slots for beat in intake.context.projection.heartbeats()))
        queue = await intake.get(QUEUE)
        assert (queue["total_queued"], queue["by_priority"]["high"], queue["processing_capacity"]) == (
            1,
            1,
            4,
        )
        high = queue["levels"][1]
        assert (high["level"], high["running"], high["oldest"]) == ("high", 0, queue["oldest_request"])
        assert [(one["job_id"], one["stage"]) for one in high["next"]] == [(str(job.job_id), "fetch")]

        for event in (started(job), imported(job)):
            await bus.publish_event(event)
        await eventually(lambda: intake.context.queue.depth == 0)
        assert (await intake.get(path))["status"] == "COMPLETED"
        listed = await intake.get(f"/api/v1/processing-jobs?request_id={REQUEST_ID}")
        assert [one["job_id"] for one in listed["jobs"]] == [str(job.job_id)]
        sla = await intake.get("/api/v1/sla?window=5m")
        assert [level["count"] for level in sla["levels"]] == [0, 1, 0, 0]
        assert sla["levels"][1]["kept"] == 1
        text = (await intake.http.get("/metrics")).text
        assert 'gexlake_deadlines_total{level="high",outcome="kept"} 1.0' in text


async def test_what_is_not_there_or_no_window_is_refused(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        missing = await intake.get("/api/v1/processing-jobs/0f1f6c58-5d0c-4f0e-9a3b-7d1c2b3a4d5e", 404)
        assert missing["error"]["rule"] == "not_found"
        refused = await intake.get("/api/v1/sla?window=tomorrow", 422)
        assert refused["error"]["field"] == "window"
        assert (await intake.get("/api/v1/processing-jobs?status=DONE", 422))["error"]["field"] == "status"
