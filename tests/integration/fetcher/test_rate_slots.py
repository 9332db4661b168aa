"""The plan's calls a minute, taken by several fetchers on a real nats-server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.fetcher.massive.errors import RateLimited
from services.fetcher.massive.rate_slots_nats import RateSlots, slots_of
from shared.bus.connection import Bus, connected
from shared.process.settings import Settings


@pytest.fixture
async def other_bus(settings: Settings) -> AsyncIterator[Bus]:
    async with connected(settings, "other") as other:
        yield other


async def test_two_fetchers_together_make_no_more_calls_than_the_plan_allows(
    bus: Bus, other_bus: Bus
) -> None:
    here, there = (RateSlots(each, 3, wait_s=0.0) for each in (bus, other_bus))
    calls = await asyncio.gather(*(slots.wait() for slots in (here, there) * 4), return_exceptions=True)
    refused = [call for call in calls if call is not None]
    assert len(calls) - len(refused) == 3
    assert [(type(error), error.retry_after_s) for error in refused if isinstance(error, RateLimited)] == [
        (RateLimited, 20)
    ] * 5


async def test_a_slot_is_free_again_after_its_time(bus: Bus) -> None:
    slots = RateSlots(bus, 1)
    slots.held_s = 1
    began = time.monotonic()
    await slots.wait()
    await slots.wait()
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize(
    ("calls", "slots", "held_s"),
    [(1, 1, 60), (5, 5, 60), (60, 60, 60), (90, 60, 40), (300, 60, 12), (6000, 100, 1)],
)
def test_slots_are_as_many_as_calls_within_their_time(calls: int, slots: int, held_s: int) -> None:
    assert slots_of(calls) == (slots, held_s)
    assert slots * 60 <= calls * held_s
