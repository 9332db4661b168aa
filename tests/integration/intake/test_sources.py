"""Sources over HTTP, on a real nats-server: as fetchers tell of them, also to an intake that starts later."""

from __future__ import annotations

from typing import Any

import pytest

from services.fetcher.errors import SourceBusy
from services.fetcher.health.circuit_breaker import BreakerRules
from services.fetcher.health.source_health_nats import SourceHealthStore
from services.intake.settings import IntakeSettings
from shared.bus.connection import Bus
from tests.support.intake.running import SIGNED_URL, RunningIntake, running_intake
from tests.support.poll import eventually

RULES = BreakerRules(failures=2, pause_s=60, max_pause_s=60, probe_s=20)
SOURCE = "https://hist.gex.bot"


async def ask(bus: Bus, *errors: Exception | None) -> None:
    for error in errors:
        try:
            async with SourceHealthStore(bus, RULES).track(SIGNED_URL):
                if error is not None:
                    raise error
        except SourceBusy:
            pass


async def source_when(intake: RunningIntake, requests: int) -> dict[str, Any]:
    """Return the one source once so many requests to it are known."""

    async def look() -> dict[str, Any]:
        answer = await intake.http.get("/api/v1/sources")
        found = answer.json() if answer.status_code == 200 else []
        return found[0] if found and found[0]["total_requests"] == requests else {}

    return await eventually(look)


@pytest.mark.parametrize("when", ["while intake runs", "before it starts"])
async def test_a_source_is_shown_with_its_history_and_its_circuit(bus: Bus, nats_url: str, when: str) -> None:
    busy = SourceBusy(SOURCE, 503)
    if when == "before it starts":
        await ask(bus, None, busy, busy)
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:
        if when == "while intake runs":
            await ask(bus, None, busy, busy)
        source = await source_when(intake, 3)
        (circuit,) = (await intake.get("/status"))["sources"]
        metrics = (await intake.http.get("/metrics")).text
    assert (source["base_url"], source["successful_requests"], source["is_active"]) == (SOURCE, 1, False)
    assert source["reliability_score"] == pytest.approx(1 / 3)
    assert (circuit["base_url"], circuit["circuit"], circuit["failures_in_a_row"]) == (SOURCE, "open", 2)
    assert circuit["left_alone_until"] == source["left_alone_until"] is not None
    assert circuit["last_error"].startswith(f"{SOURCE} answered 503")
    assert f'gexlake_source_left_alone{{source="{SOURCE}"}} 1.0' in metrics


async def test_sources_need_a_key_when_keys_are_set(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, api_keys=("right",))
    async with running_intake(settings) as intake:
        await intake.get("/api/v1/sources", status=401)

        async def let_in() -> bool:
            answer = await intake.http.get("/api/v1/sources", headers={"X-API-Key": "right"})
            return (answer.status_code, answer.text) == (200, "[]")

        await eventually(let_in)
