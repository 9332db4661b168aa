"""Turns at the vendor's API, taken by several fetchers on a real nats-server."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from datetime import date

import pytest

from services.fetcher.gexbot import lease_nats
from services.fetcher.gexbot.errors import LeaseTaken
from services.fetcher.gexbot.lease_nats import VendorLease
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.gexbot.partition import Partition
from shared.process.settings import Settings
from simulator.nats_server import NatsServer

DAY = Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
OTHERS = (Partition("SPX", "gex_zero", DAY.trading_day), Partition("NQ_NDX", "gex_one", DAY.trading_day))
PAUSE_S = 0.3


@pytest.fixture
async def other_bus(settings: Settings) -> AsyncIterator[Bus]:
    async with connected(settings, "other") as other:
        yield other


async def taken(bus: Bus) -> int:
    """Count the turns that somebody has."""
    return (await bus.js.stream_info(subjects.TURNS)).state.messages


async def test_two_fetchers_never_ask_within_a_pause_of_one_another(bus: Bus, other_bus: Bus) -> None:
    spans: list[tuple[float, float]] = []

    async def ask(turns: VendorLease) -> None:
        async with turns.hold(DAY):
            began = time.monotonic()
            await asyncio.sleep(0.05)  # the way to the vendor and back
            spans.append((began, time.monotonic()))

    async with VendorLease(bus, PAUSE_S) as here, VendorLease(other_bus, PAUSE_S) as there:
        await asyncio.gather(*(ask(turns) for turns in (here, there) * 3))
    assert len(spans) == 6
    assert all(later[0] - earlier[1] >= PAUSE_S for earlier, later in itertools.pairwise(spans))
    assert await taken(bus) == 0


async def test_the_pause_is_the_second_of_the_vendors_rule() -> None:
    assert lease_nats.PAUSE_S >= 1


async def test_another_ticker_or_endpoint_does_not_wait(bus: Bus) -> None:
    async with VendorLease(bus, pause_s=0.0, wait_s=0.0) as turns, turns.hold(DAY):
        for other in OTHERS:
            async with turns.hold(other):
                assert await taken(bus) >= 2


async def test_who_waits_too_long_is_put_off(bus: Bus) -> None:
    async with VendorLease(bus, pause_s=0.0, wait_s=0.1) as turns, turns.hold(DAY):
        with pytest.raises(LeaseTaken, match="NQ_NDX gex_zero"):
            async with turns.hold(DAY):
                pytest.fail("two had the turn at once")


async def test_an_error_within_a_turn_gives_it_back(bus: Bus) -> None:
    async with VendorLease(bus, pause_s=0.0) as turns:
        with pytest.raises(LookupError):
            async with turns.hold(DAY):
                raise LookupError
    assert await taken(bus) == 0


async def test_the_lease_of_a_dead_fetcher_expires(
    settings: Settings, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to give the turn back, and even the broker is killed meanwhile."""
    monkeypatch.setattr(lease_nats, "LEASE_MAX_S", 3)
    async with connected(settings, "dead") as dead:
        await VendorLease(dead)._acquire(DAY)
    nats_server.kill()
    nats_server.start()
    async with connected(settings, "next") as bus, VendorLease(bus, pause_s=0.0) as turns:
        assert await taken(bus) == 1
        async with turns.hold(DAY):
            assert await taken(bus) == 1


async def test_an_expired_lease_is_not_taken_from_its_next_owner(bus: Bus) -> None:
    async with VendorLease(bus, pause_s=0.0) as turns:
        async with turns.hold(DAY):
            await bus.js.purge_stream(subjects.TURNS)
            other = VendorLease(bus)
            await other._acquire(DAY)
        await asyncio.gather(*turns._releases)
        assert await taken(bus) == 1
