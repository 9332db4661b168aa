"""The shares of a capped bandwidth, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gexlake.api.jobs import Priority
from services.fetcher.download.bandwidth import Bandwidth
from tests.support.virtual_time import run_in_virtual_time

CRITICAL, HIGH, MEDIUM, LOW = Priority
CAP = 1_000_000
SECONDS = 60


async def received(*fetches: Priority, chunk_bytes: int = 65_536, slow: float = 0) -> Counter[Priority]:
    """Return the bytes a second of each priority; a CRITICAL source sends a chunk every ``slow`` seconds."""
    bandwidth, totals = Bandwidth(CAP), Counter[Priority]()

    async def fetch(priority: Priority) -> None:
        with bandwidth.fetching(priority):
            while True:
                if priority is CRITICAL and slow:
                    await asyncio.sleep(slow)
                await bandwidth.take(chunk_bytes, priority)
                totals[priority] += chunk_bytes

    running = [asyncio.create_task(fetch(priority)) for priority in fetches]
    await asyncio.sleep(SECONDS)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return Counter({priority: total // SECONDS for priority, total in totals.items()})


@pytest.mark.parametrize("chunk_bytes", [1_000, 65_536, 250_000])
def test_critical_gets_half_of_the_cap_beside_three_others(chunk_bytes: int) -> None:
    speeds = run_in_virtual_time(received(LOW, CRITICAL, HIGH, MEDIUM, chunk_bytes=chunk_bytes))
    assert speeds[CRITICAL] == pytest.approx(CAP / 2, rel=0.03)
    assert speeds.total() == pytest.approx(CAP, rel=0.03)


def test_without_critical_work_the_others_use_the_whole_cap() -> None:
    speeds = run_in_virtual_time(received(LOW, LOW, MEDIUM))
    assert speeds.total() == pytest.approx(CAP, rel=0.02)


def test_critical_alone_uses_the_whole_cap() -> None:
    assert run_in_virtual_time(received(CRITICAL))[CRITICAL] == pytest.approx(CAP, rel=0.02)


def test_critical_gets_what_its_source_sends_and_the_others_at_most_half() -> None:
    speeds = run_in_virtual_time(received(CRITICAL, LOW, LOW, chunk_bytes=50_000, slow=0.2))
    assert speeds[CRITICAL] == pytest.approx(CAP / 4, rel=0.1)
    assert speeds[LOW] == pytest.approx(CAP / 2, rel=0.03)


def test_the_others_have_the_whole_cap_again_after_a_critical_fetch() -> None:
    async def low_beside_a_fetch_that_ended() -> float:
        bandwidth = Bandwidth(CAP)
        with bandwidth.fetching(CRITICAL):
            await bandwidth.take(CAP, CRITICAL)
        began = asyncio.get_running_loop().time()
        await bandwidth.take(CAP, LOW)
        return asyncio.get_running_loop().time() - began

    assert run_in_virtual_time(low_beside_a_fetch_that_ended()) == pytest.approx(1, rel=0.1)


def test_no_cap_never_waits() -> None:
    async def take() -> float:
        await Bandwidth().take(10**12, LOW)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(take()) < 0.001
