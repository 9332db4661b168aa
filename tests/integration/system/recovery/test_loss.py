"""No job is lost or done twice when processes are killed between durable steps.

Afterwards every accepted job is completed, every partition has exactly the rows of its file, Parquet equals
the table, and no temporary file is left. The tests share one stack, because starting five processes for each
failpoint would take longer than the tests. ``test_chaos.py`` kills at random.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from simulator.stack import NATS
from tests.support.poll import eventually
from tests.support.system.running import WITHIN_S, System, running_system

FAILPOINTS: Final = (
    "intake.accepted",
    "intake.command_published",
    "intake.event_published",
    "fetcher.started",
    "fetcher.downloading",
    "fetcher.file_synced",
    "fetcher.file_staged",
    "fetcher.command_published",
    "fetcher.event_published",
    "importer.started",
    "importer.parquet_written",
    "importer.loaded",
    "importer.committed",
    "importer.parquet_renamed",
    "importer.records_placed",
    "importer.completed",
    "importer.event_published",
)
QUICK_WITH_SERVICE: Final = {
    "intake.command_published",
    "importer.committed",
}
"""Intake and fetcher are killed at every point by tests of their own, without the other services."""
_SERVICE_POINTS: Final = [
    pytest.param(point, marks=() if point in QUICK_WITH_SERVICE else pytest.mark.slow) for point in FAILPOINTS
]


def allowed_ends(victim: str) -> set[str]:
    """Return the states that a job may end in.

    A client that gets no answer because intake was killed posts again. If the job was completed before that,
    the file is unchanged and the job is skipped.
    """
    return {"completed", "skipped"} if victim == "intake" else {"completed"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("loss")) as system:
        yield system


@pytest.mark.parametrize("failpoint", _SERVICE_POINTS)
async def test_a_service_killed_between_durable_steps_loses_and_repeats_nothing(
    system: System, failpoint: str
) -> None:
    service = failpoint.partition(".")[0]
    day = system.new_day()
    await system.restart(service, failpoint)
    posting = asyncio.create_task(system.post(day))
    status = await asyncio.to_thread(system.stack.wait_exit, service)
    assert status == -9
    await system.restart(service)
    job = await system.finished(await posting)
    assert job["state"] in allowed_ends(service), job
    assert job["failures"] == 0
    await system.assert_whole(day)


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_the_broker_killed_between_durable_steps_loses_and_repeats_nothing(
    system: System, failpoint: str, tmp_path: Path
) -> None:
    service = failpoint.partition(".")[0]
    held = tmp_path / "held"
    day = system.new_day()
    await system.restart(service, f"{failpoint}=hold:{held}")
    posting = asyncio.create_task(system.post(day))
    await eventually(held.exists, within_s=WITHIN_S, what=f"the failpoint {failpoint}")
    system.stack.kill(NATS)
    system.stack.start_service(NATS)
    held.unlink()
    job = await system.finished(await posting)
    assert job["state"] in allowed_ends(service), job
    await system.assert_whole(day)
    await system.restart(service)
