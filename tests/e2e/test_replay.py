"""Replays through nats-box, with the documented commands."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from uuid import UUID

from shared.bus.connection import Bus
from shared.bus.messages import JobFailed, JobRequested
from simulator.generator import Day
from tests.support.poll import eventually
from tests.support.system.compose import ComposeStack, local_url
from tests.support.system.oracle import assert_holds_exactly


async def test_a_job_is_replayed_by_its_id(stack: ComposeStack, stack_bus: Bus) -> None:
    day = Day(ticker="ES_SPX", day=date(2025, 11, 10), snapshots=40, strikes=5)
    job_id = await imported(stack, day)
    await replay(stack, {"job_id": job_id})
    job = await state_of_generation(stack, job_id, 2)
    assert (job["state"], job["skipped"]) == ("completed", True)
    await assert_holds_exactly(stack_bus, day)


async def test_a_job_is_replayed_by_its_place_in_the_stream(stack: ComposeStack, stack_bus: Bus) -> None:
    day = Day(ticker="ES_SPX", day=date(2025, 11, 11), snapshots=40, strikes=5)
    job_id = await imported(stack, day)
    requested = await stack_bus.last_event(JobRequested, UUID(job_id))
    assert requested is not None
    assert job_id in stack.nats("stream", "get", "JOBS", str(requested.command_seq))
    await replay(stack, {"stream_seq": requested.command_seq})
    job = await state_of_generation(stack, job_id, 2)
    assert (job["state"], job["skipped"]) == ("completed", True)
    await assert_holds_exactly(stack_bus, day)


async def test_a_dead_letter_is_replayed_once_its_cause_is_gone(stack: ComposeStack, stack_bus: Bus) -> None:
    day = Day(ticker="ES_SPX", day=date(2025, 11, 12), snapshots=40, strikes=5)
    job_id = await stack.post(local_url(day))
    assert (await stack.finished(job_id))["state"] == "failed"
    failed = await stack_bus.last_event(JobFailed, UUID(job_id))
    assert failed is not None
    assert "Gex-Reason" in stack.nats("stream", "get", "DEAD", str(failed.dead_letter_seq))
    stack.offer(day)
    await replay(stack, {"dead_letter": failed.dead_letter_seq})
    assert (await state_of_generation(stack, job_id, 2))["state"] == "completed"
    await assert_holds_exactly(stack_bus, day)


async def imported(stack: ComposeStack, day: Day) -> str:
    """Import a day and return the id of its job."""
    stack.offer(day)
    job_id = await stack.post(local_url(day))
    job = await stack.finished(job_id)
    assert job["state"] == "completed", job
    return job_id


async def replay(stack: ComposeStack, what: dict[str, Any]) -> None:
    """Request a replay with the ``nats`` command."""
    answer = json.loads(stack.nats("request", "--raw", "gex.svc.jobs.replay", json.dumps(what)))
    assert answer["generation"] == 2, answer


async def state_of_generation(stack: ComposeStack, job_id: str, generation: int) -> dict[str, Any]:
    """Return a job once this generation of it is finished."""

    async def ended() -> dict[str, Any]:
        job = await stack.finished(job_id)
        return job if job["generation"] == generation else {}

    return await eventually(ended, what=f"the end of generation {generation} of {job_id}")
