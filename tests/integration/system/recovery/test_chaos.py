"""Two hundred random kills and pauses of all five processes, with requests of every kind in between.

``CHAOS_SEED`` repeats the choices of a run (not its timing), ``CHAOS_FAULTS`` changes the number of faults.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gexlake.api.jobs import FINISHED
from tests.support.poll import eventually
from tests.support.system.audit import audit
from tests.support.system.chaos import Chaos, plan_faults
from tests.support.system.clients import patient_client
from tests.support.system.running import System, running_system
from tests.support.system.workload import request_days

SETTINGS = {
    "GEXLAKE_RATE_LIMIT_HISTORY": "100000/minute",
    "GEXLAKE_SOURCE_PAUSE_S": "0.2",
    "GEXLAKE_SOURCE_LONGEST_PAUSE_S": "1",
    "GEXLAKE_STRANDED_AFTER_S": "5",
    "GEXLAKE_REQUEUE_INTERVAL_S": "1",
}
DAYS = 88
FINISHED_WITHIN_S = 120.0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path, SETTINGS) as system:
        yield system


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_random_kills_and_pauses_of_all_processes_lose_double_and_spoil_nothing(system: System) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"CHAOS_SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    source = random.Random(seed)
    plan = plan_faults(source, int(os.environ.get("CHAOS_FAULTS", "200")))
    lasts_s = max(sum(fault.gap_s + fault.lasts_s for fault in faults) for faults in plan.values())
    chaos = Chaos(system.stack, plan)
    async with patient_client(system.stack.url, system.vendor) as client:
        supervising, querying = asyncio.create_task(chaos.supervise()), asyncio.create_task(client.query())
        requesting = asyncio.create_task(request_days(system, client, source, DAYS, lasts_s * 0.9))
        await chaos.run()
        during = sum(job["state"] in FINISHED for job in client.jobs.values())
        print(f"{during} of {DAYS} jobs ended before the last fault; exits: {dict(chaos.exits)}")  # noqa: T201
        assert not querying.done(), querying.exception()
        querying.cancel()
        outcomes = await asyncio.wait_for(requesting, FINISHED_WITHIN_S)
        await asyncio.to_thread(system.stack.wait_ready)
        await audit(system, client.jobs, outcomes)
        supervising.cancel()
        await eventually(lambda: not chaos.orphans(), what="the end of the children of killed processes")
    assert chaos.done.total() == sum(map(len, plan.values()))
