"""The registry of symbols over HTTP, kept in a bucket of a real nats-server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from tests.support.intake.running import RunningIntake, running_intake
from tests.support.poll import eventually

SYMBOLS = "/api/v1/symbols"
AAPL = {"symbol": "AAPL", "strategy": "flatpack+snapshot+stream", "description": "Apple Inc."}


@pytest.fixture
def settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url)


async def listed(intake: RunningIntake, query: str = "") -> list[str]:
    """Return the names of the symbols, once intake has read them."""

    async def look() -> Any:
        answer = await intake.http.get(SYMBOLS + query)
        return [answer.json()] if answer.status_code == 200 else None

    (found,) = await eventually(look)
    return [symbol["symbol"] for symbol in found["symbols"]]


async def added(intake: RunningIntake, **fields: Any) -> Any:
    answer = await intake.http.post(SYMBOLS, json={**AAPL, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_symbol_is_registered_once_and_known_to_every_intake(settings: IntakeSettings) -> None:
    async with running_intake(settings) as one, running_intake(settings) as other:
        first = await added(one)
        assert first["strategy"] == "flatpack_snapshot_stream"
        assert (first["status"], first["enabled"], first["last_backfill"]) == ("idle", True, None)
        assert await added(other) == first
        conflict = await other.http.post(SYMBOLS, json={**AAPL, "strategy": "stream"})
        assert (conflict.status_code, conflict.json()["error"]["field"]) == (409, "symbol")
        assert await listed(other) == ["AAPL"]
    async with running_intake(settings) as later:
        assert await listed(later) == ["AAPL"]


async def test_symbols_are_found_as_the_vendor_writes_them(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        for symbol in ("BRK/B", "BRK.B", "MTBpC"):
            await added(intake, symbol=symbol)
        assert await listed(intake) == ["BRK.B", "BRK/B", "MTBpC"]
        assert (await intake.get(f"{SYMBOLS}/BRK%2FB"))["symbol"] == "BRK/B"
        answer = await intake.http.put(f"{SYMBOLS}/BRK/B/status", json={"status": "disabled"})
        assert answer.json()["symbol"] == "BRK/B"
        assert (await intake.get(f"{SYMBOLS}/MTBPC", 404))["error"]["field"] == "symbol"
        refused = await intake.http.post(SYMBOLS, json={**AAPL, "symbol": "aapl"})
        assert refused.status_code == 422
        assert "is not a symbol: it begins with an upper-case letter" in refused.text


async def test_status_and_enabled_go_together(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        await added(intake)
        path = f"{SYMBOLS}/AAPL"

        async def seen(answer: Any) -> tuple[str, bool, str | None]:
            assert answer.status_code == 200, answer.text
            symbol = answer.json()
            return symbol["status"], symbol["enabled"], symbol["error_message"]

        put = intake.http.put
        error = {"status": "error", "error_message": "Rate limit exceeded"}
        assert await seen(await put(f"{path}/status", json=error)) == ("error", True, "Rate limit exceeded")
        assert await seen(await put(f"{path}/status", json={"status": "disabled"})) == (
            "disabled",
            False,
            None,
        )
        assert await listed(intake, "?enabled_only=true") == []
        assert await listed(intake, "?status=disabled&strategy=FLATPACK%2Bsnapshot%2Bstream") == ["AAPL"]
        assert await seen(await intake.http.patch(path, json={"enabled": True})) == ("idle", True, None)
        assert (await put(f"{path}/status", json={"status": "running"})).status_code == 422


async def test_a_change_of_another_revision_is_refused(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        first = await added(intake)
        path, tag = f"{SYMBOLS}/AAPL", {"If-Match": f'"{first["revision"]}"'}
        changed = await intake.http.patch(path, json={"strategy": "stream"}, headers=tag)
        assert changed.json()["strategy"] == "stream"
        assert changed.headers["ETag"] == f'"{changed.json()["revision"]}"'
        again = await intake.http.patch(path, json={"strategy": "snapshot"}, headers=tag)
        assert again.status_code == 412
        assert (await intake.http.delete(path, headers=tag)).status_code == 412


async def test_concurrent_changes_of_two_intakes_all_count(settings: IntakeSettings) -> None:
    async with running_intake(settings) as one, running_intake(settings) as other:
        await added(one)
        bodies = [{"description": "new"}, {"strategy": "stream"}, {"metadata": {"a": 1}}]
        answers = await asyncio.gather(
            *(
                intake.http.patch(f"{SYMBOLS}/AAPL", json=body)
                for intake, body in zip((one, other, one), bodies, strict=True)
            )
        )
        assert [answer.status_code for answer in answers] == [200] * 3
        (newest,) = [answer.json() for answer in answers if answer.json()["revision"] == 4]
        assert (newest["description"], newest["strategy"], newest["metadata"]) == ("new", "stream", {"a": 1})


async def test_a_symbol_that_was_deleted_can_be_registered_again(settings: IntakeSettings, bus: Bus) -> None:
    async with running_intake(settings) as intake:
        await added(intake)
        assert (await intake.http.delete(f"{SYMBOLS}/AAPL")).status_code == 204
        assert await listed(intake) == []
        assert (await intake.http.delete(f"{SYMBOLS}/AAPL")).status_code == 404
        marker = await bus.js.get_msg(subjects.bucket_stream(subjects.SYMBOLS), subject="$KV.SYMBOLS.AAPL")
        assert (marker.headers or {})["Gex-Changed-By"].startswith("address:")
        await added(intake, strategy="stream")
        assert await listed(intake) == ["AAPL"]


async def test_many_symbols_are_registered_or_refused_each_by_itself(settings: IntakeSettings) -> None:
    rows = "AAPL,flatpack\nMSFT,snapshot+stream\naapl,stream\nTSLA,fast\nAAPL,flatpack\n"
    async with running_intake(settings) as intake:
        answer = await intake.http.post(
            f"{SYMBOLS}/bulk",
            content=f"symbol,strategy\n{rows}".encode(),
            headers={"Content-Type": "text/csv; charset=utf-8"},
        )
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert (result["added"], result["unchanged"], result["refused"]) == (2, 1, 2)
        assert [row["field"] for row in result["rows"]] == [None, None, "symbol", "strategy", None]
        body = {"symbols": [{"symbol": "AAPL", "strategy": "flatpack"}]}
        again = await intake.http.post(f"{SYMBOLS}/bulk", json=body)
        assert again.json()["unchanged"] == 1
        assert await listed(intake) == ["AAPL", "MSFT"]
