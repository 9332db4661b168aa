"""Sources over HTTP, on a real nats-server: as fetchers tell of them, also to an intake that starts later."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from services.fetcher.errors import SourceBusy, SourceDeactivated
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
        found = answer.json()["sources"] if answer.status_code == 200 else []
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


async def patched(intake: RunningIntake, path: str, **changes: Any) -> dict[str, Any]:
    answer = await intake.http.patch(path, json=changes)
    assert answer.status_code == 200, answer.text
    source: dict[str, Any] = answer.json()
    return source


async def test_a_source_is_deactivated_for_all_fetchers_until_it_is_activated(
    bus: Bus, nats_url: str
) -> None:
    busy = SourceBusy(SOURCE, 503)
    await ask(bus, None, busy, busy)
    store = SourceHealthStore(bus, RULES)
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:
        source = await source_when(intake, 3)
        path = f"/api/v1/sources/{source['source_id']}"
        off = await patched(intake, path, is_active=False, name="Vendor")
        again = await patched(intake, path, is_active=False)
        with pytest.raises(
            SourceDeactivated, match=r"by address:127\.0\.0\.1 on .* sources activate https://hist\.gex\.bot"
        ):
            await store.check(SOURCE)
        listed = await intake.get("/api/v1/sources?active_only=true")
        on = await patched(intake, path, is_active=True)
        await store.check(SOURCE)
        await ask(bus, None)
        shown = await source_when(intake, 4)
        assert shown == await intake.get(path)
    assert (off["deactivated_by"], off["name"], off["is_active"]) == ("address:127.0.0.1", "Vendor", False)
    assert (again, listed) == (off, {"sources": [], "total_count": 0})
    assert (on["is_active"], on["circuit"], on["total_requests"]) == (True, "closed", 3)
    assert (shown["name"], shown["deactivated_at"]) == ("Vendor", None)


async def test_a_limit_leaves_sources_out_but_counts_them(bus: Bus, nats_url: str) -> None:
    for number in range(3):
        async with SourceHealthStore(bus, RULES).track(f"https://{number}.test/x.json"):
            pass
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:

        async def look() -> Any:
            answer = await intake.http.get("/api/v1/sources?limit=2")
            return answer.json() if answer.status_code == 200 and answer.json()["total_count"] == 3 else None

        found = await eventually(look)
        assert [source["name"] for source in found["sources"]] == ["0.test", "1.test"]


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({"is_active": "perhaps"}, "is_active", "bool_parsing"),
        ({"name": " "}, "name", "string_too_short"),
        ({"reliability_score": 1}, "reliability_score", "extra_forbidden"),
    ],
)
async def test_what_cannot_be_changed_of_a_source_is_refused_by_its_field(
    bus: Bus, nats_url: str, body: dict[str, Any], field: str, rule: str
) -> None:
    await ask(bus, None)
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:
        source = await source_when(intake, 1)
        answer = await intake.http.patch(f"/api/v1/sources/{source['source_id']}", json=body)
        assert answer.status_code == 422
        assert (answer.json()["error"]["field"], answer.json()["error"]["rule"]) == (field, rule)
        unknown = f"/api/v1/sources/{UUID(int=1)}"
        await intake.get(unknown, status=404)
        assert (await intake.http.patch(unknown, json={"name": "x"})).status_code == 404


async def test_sources_need_a_key_when_keys_are_set(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, api_keys=("right",))
    async with running_intake(settings) as intake:
        await intake.get("/api/v1/sources", status=401)

        async def let_in() -> bool:
            answer = await intake.http.get("/api/v1/sources", headers={"X-API-Key": "right"})
            return (answer.status_code, answer.json()) == (200, {"sources": [], "total_count": 0})

        await eventually(let_in)
