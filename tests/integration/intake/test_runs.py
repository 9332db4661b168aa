"""Runs of registered symbols, on a real nats-server, with stand-ins of fetcher and importer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from gexlake.api.chronox.bars import DayRange
from gexlake.api.chronox.runs import CHECK_STREAMS, EXECUTE, CheckStreams, Execute
from gexlake.api.chronox.symbols import RegisteredSymbol
from gexlake.api.rpc import call
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.massive.resources import MinuteBars, Snapshots
from tests.support.intake.fake_chronox import FakeChronox, fake_chronox
from tests.support.intake.running import RunningIntake, messages_in, running_intake
from tests.support.poll import eventually

EXECUTE_PATH = "/api/v1/registry/execute"
NOVEMBER: dict[str, Any] = {"start": "2025-10-30", "end": "2025-11-14"}


@pytest.fixture
def settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url, ack_wait_s=5, bars_run_lease_s=1.0)


@pytest.fixture
async def intake(settings: IntakeSettings) -> AsyncIterator[RunningIntake]:
    async with running_intake(settings) as running:
        await eventually(lambda: running.context.symbols.is_read)
        yield running


@pytest.fixture
async def vendor(intake: RunningIntake, bus: Bus) -> AsyncIterator[FakeChronox]:
    """Be fetcher and importer once intake hears their first heartbeats."""
    await eventually(lambda: intake.context.link.is_up)
    async with fake_chronox(bus) as fake:
        yield fake


async def add(intake: RunningIntake, strategy: str, *symbols: str, **fields: Any) -> None:
    body = [{"symbol": symbol, "strategy": strategy, **fields} for symbol in symbols]
    answer = await intake.http.post("/api/v1/symbols/bulk", json={"symbols": body})
    assert answer.json()["added"] == len(symbols), answer.text


async def execute(intake: RunningIntake, status: int = 202, **body: Any) -> Any:
    answer = await intake.http.post(EXECUTE_PATH, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def outcomes(answer: Any) -> dict[str, str]:
    return {one["symbol"]: one["outcome"] for one in answer["symbols"]}


async def ended(intake: RunningIntake, symbol: str) -> Any:
    """Return a symbol once its run has ended."""

    async def look() -> Any:
        found = await intake.get(f"/api/v1/symbols/{symbol}")
        return found if found["last_run"] is not None and found["run"] is None else None

    return await eventually(look)


async def test_a_symbol_is_brought_through_its_phases_in_order(
    vendor: FakeChronox, intake: RunningIntake
) -> None:
    await add(intake, "flatpack_snapshot_stream", "AAPL")
    answer = await execute(intake, **NOVEMBER)
    assert (outcomes(answer), answer["started"]) == ({"AAPL": "started"}, 1)
    symbol = await ended(intake, "AAPL")
    assert (symbol["status"], symbol["streaming"], symbol["error_message"]) == ("idle", True, None)
    assert symbol["last_backfill"] < symbol["last_snapshot"]
    run = symbol["last_run"]
    assert (run["outcome"], run["phase"], run["records"]) == ("completed", "stream", 2 * 390 + 1)
    assert vendor.fetched[-1] == Snapshots(("AAPL",))
    assert sorted(vendor.fetched[:-1], key=str) == [  # without keys of flat files, by REST
        MinuteBars("AAPL", date(2025, 10, 30), date(2025, 10, 31)),
        MinuteBars("AAPL", date(2025, 11, 3), date(2025, 11, 14)),
    ]
    listed = (await intake.get("/api/v1/registry/runs"))["runs"]
    assert [(one["symbol"], one["outcome"], one["run_id"]) for one in listed] == [
        ("AAPL", "completed", answer["symbols"][0]["run_id"])
    ]


async def test_what_the_lake_has_completely_is_not_asked_for(
    vendor: FakeChronox, intake: RunningIntake
) -> None:
    vendor.complete["AAPL"] = (DayRange(first=date(2025, 10, 1), last=date(2025, 11, 10)),)
    await add(intake, "flatpack+api", "AAPL", metadata={"history_start": "2025-10-30"})
    dry = await execute(intake, end="2025-11-14", dry_run=True)
    assert [(one["outcome"], one["jobs"], one["phases"]) for one in dry["symbols"]] == [
        ("planned", 1, ["backfill"])
    ]
    assert vendor.fetched == []
    await execute(intake, end="2025-11-14")
    await ended(intake, "AAPL")
    assert vendor.fetched == [MinuteBars("AAPL", date(2025, 11, 11), date(2025, 11, 14))]


async def test_the_failure_of_one_symbol_stops_no_other(vendor: FakeChronox, intake: RunningIntake) -> None:
    vendor.failures["/ticker/NVDA/"] = "HTTP 429: Rate limit exceeded"
    vendor.unknown = frozenset({"GONE"})
    await add(intake, "flatpack_api", "AAPL", "NVDA")
    await add(intake, "snapshot_stream", "GONE", "MSFT")
    await add(intake, "stream", "OFF", enabled=False)
    answer = await execute(intake, symbols=["AAPL", "NVDA", "GONE", "MSFT", "OFF", "NONE"], **NOVEMBER)
    assert answer["started"] == 4
    assert (outcomes(answer)["OFF"], outcomes(answer)["NONE"]) == ("disabled", "unknown")
    assert [(await ended(intake, symbol))["status"] for symbol in ("AAPL", "MSFT")] == ["idle", "idle"]
    failed = await ended(intake, "NVDA")
    assert (failed["status"], failed["last_run"]["outcome"]) == ("error", "failed")
    assert failed["error_message"].startswith("backfill: 2 of 2 jobs failed, first bars from 2025-1")
    assert failed["error_message"].endswith("HTTP 429: Rate limit exceeded")
    gone = await ended(intake, "GONE")
    assert gone["error_message"] == "snapshot: the vendor has no snapshot of GONE"
    assert not gone["streaming"]
    assert Snapshots(("GONE", "MSFT")) in vendor.fetched  # one request for both


async def test_two_intakes_at_once_execute_each_symbol_once(settings: IntakeSettings, bus: Bus) -> None:
    symbols = [f"S{number}" for number in range(30)]
    async with (
        running_intake(settings) as one,
        running_intake(settings) as other,
        fake_chronox(bus) as vendor,
    ):
        vendor.held.clear()
        await add(one, "flatpack_api", *symbols)
        await eventually(lambda: len(other.context.symbols.all) == len(symbols))
        answers = await asyncio.gather(execute(one, **NOVEMBER), execute(other, **NOVEMBER))
        begun = Counter(
            symbol for answer in answers for symbol, what in outcomes(answer).items() if what == "started"
        )
        assert begun == dict.fromkeys(symbols, 1)
        await eventually(lambda: len(vendor.fetched) == 2 * len(symbols))
        vendor.held.set()
        assert {(await ended(one, symbol))["status"] for symbol in symbols} == {"idle"}
        assert set(Counter(vendor.fetched).values()) == {1}


async def test_the_runs_of_an_intake_that_stops_are_taken_over(settings: IntakeSettings, bus: Bus) -> None:
    async with fake_chronox(bus) as vendor:
        vendor.held.clear()
        async with running_intake(settings) as one:
            await add(one, "flatpack_api", "AAPL")
            await execute(one, **NOVEMBER)
            await eventually(lambda: len(vendor.fetched) == 2)
            (running,) = (await one.get("/api/v1/registry/runs?in_progress_only=true"))["runs"]
            assert (running["phase"], running["jobs_done"], running["jobs_total"]) == ("backfill", 0, 2)
            assert (await one.get("/api/v1/symbols/AAPL"))["status"] == "running"
        async with running_intake(settings) as other:
            await eventually(lambda: other.context.symbols.is_read)
            vendor.held.set()
            symbol = await ended(other, "AAPL")
            assert (symbol["status"], symbol["last_run"]["run_id"]) == ("idle", running["run_id"])
        assert len(vendor.fetched) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/status", {"status": "disabled"}, "disabled"),
        ("PATCH", "", {"strategy": "snapshot"}, "idle"),
        ("DELETE", "", None, None),
    ],
)
async def test_a_client_ends_a_run(
    vendor: FakeChronox, intake: RunningIntake, method: str, path: str, body: Any, status: str | None
) -> None:
    await add(intake, "stream", "AAPL")
    await execute(intake)
    assert (await ended(intake, "AAPL"))["streaming"]
    whole = {"strategy": "flatpack_snapshot_stream"}
    assert (await intake.http.patch("/api/v1/symbols/AAPL", json=whole)).status_code == 200
    vendor.held.clear()
    await execute(intake, **NOVEMBER)
    await eventually(lambda: vendor.fetched)
    assert outcomes(await execute(intake)) == {"AAPL": "running"}
    changed = await intake.http.request(method, f"/api/v1/symbols/AAPL{path}", json=body)
    assert changed.is_success, changed.text
    await eventually(lambda: intake.context.chronox.orchestrator.driven == 0)
    vendor.held.set()
    if status is None:
        assert (await intake.get("/api/v1/registry/runs"))["runs"] == []
        return
    symbol = await ended(intake, "AAPL")
    assert (symbol["status"], symbol["streaming"]) == (status, False)
    assert symbol["last_run"]["outcome"] == "stopped"


async def test_without_a_key_nothing_is_begun(bus: Bus, intake: RunningIntake) -> None:
    await add(intake, "stream", "AAPL")
    async with fake_chronox(bus, has_key=False):
        await eventually(intake.context.projection.heartbeats)
        refused = await execute(intake, status=409)
    assert refused["error"]["rule"] == "vendor_key"
    assert "POLYGON_API_KEY" in refused["error"]["message"]
    assert (await intake.get("/api/v1/symbols/AAPL"))["run"] is None


async def test_wrong_requests_name_the_field(intake: RunningIntake) -> None:
    assert (await execute(intake, status=422, end="2099-01-01"))["error"]["field"] == "end"
    assert (await execute(intake, status=422, start="9999-12-31"))["error"]["field"] == "start"
    assert (await execute(intake, status=422, phases=["fast"]))["error"]["field"] == "phases.0"
    await add(intake, "flatpack", "AAPL", metadata={"history_start": "soon"})
    refused = await execute(intake, status=422, dry_run=True)
    assert "metadata.history_start: 'soon' is not a day" in refused["error"]["message"]
    assert outcomes((await intake.http.post(f"{EXECUTE_PATH}")).json()) == {"AAPL": "started"}
    assert "history_start" in (await ended(intake, "AAPL"))["error_message"]


async def test_snapshots_are_refreshed_in_batches_and_without_runs(
    vendor: FakeChronox, intake: RunningIntake
) -> None:
    symbols = [f"S{number}" for number in range(260)]
    await add(intake, "snapshot", *symbols[:200])
    await add(intake, "snapshot_stream", *symbols[200:])
    answer = await intake.http.post("/api/v1/registry/snapshots", json={})
    assert (answer.json()["symbols"], len(answer.json()["queued"])) == (260, 2), answer.text
    known = intake.context.symbols
    await eventually(lambda: all(found.symbol.last_snapshot for found in known.all))
    assert all(found.symbol.last_run is None for found in known.all)
    assert [len(batch.symbols) for batch in vendor.fetched if isinstance(batch, Snapshots)] == [250, 10]


async def test_streams_are_checked_over_nats(intake: RunningIntake, bus: Bus) -> None:
    await add(intake, "stream", "AAPL", "MSFT")
    begun = await call(bus.client, EXECUTE, Execute(), 5)
    assert begun.started == 2
    await ended(intake, "AAPL")
    await ended(intake, "MSFT")
    await bus.client.publish("chronox.stream.AAPL", b"{}")
    await bus.client.flush()
    checked = await call(bus.client, CHECK_STREAMS, CheckStreams(), 5)
    assert (checked.streaming, checked.fresh) == (2, 1)
    assert (await intake.get("/api/v1/symbols/AAPL"))["last_stream"] is not None


async def test_many_symbols_have_few_jobs_at_a_time(settings: IntakeSettings, bus: Bus) -> None:
    few = settings.model_copy(update={"bars_max_jobs": 4})
    async with running_intake(few) as intake, fake_chronox(bus) as vendor:
        vendor.held.clear()
        symbols = [f"S{number}" for number in range(10)]
        await add(intake, "flatpack_api", *symbols)
        await add(intake, "stream", "LIVE")
        await execute(intake, **NOVEMBER)
        assert (await ended(intake, "LIVE"))["streaming"]  # it waits for no other
        await eventually(lambda: len(vendor.fetched) == 4)
        assert await messages_in(bus, subjects.JOBS) == 4
        vendor.held.set()
        for symbol in symbols:
            assert (await ended(intake, symbol))["status"] == "idle"


async def test_a_running_that_no_run_belongs_to_becomes_idle(intake: RunningIntake, bus: Bus) -> None:
    await add(intake, "stream", "AAPL")
    found = await intake.get("/api/v1/symbols/AAPL")
    left = RegisteredSymbol.model_validate({**found, "status": "running"})
    await bus.js.publish("$KV.SYMBOLS.AAPL", left.model_dump_json().encode())

    async def status() -> bool:
        symbol = await intake.get("/api/v1/symbols/AAPL")
        return bool(symbol["revision"] >= 3 and symbol["status"] == "idle")

    await eventually(status)
