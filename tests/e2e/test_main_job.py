"""The main job through the containers, and the contents of the containers."""

from __future__ import annotations

import json
from datetime import date

import pytest

from shared.bus.connection import Bus
from shared.bus.follower import follow
from shared.bus.subjects import EVENTS
from simulator.generator import Day
from tests.support.system.compose import ComposeStack, local_url, vendor_url
from tests.support.system.oracle import assert_holds_exactly, query_lake

SERVICES = ("intake", "fetcher", "importer", "janitor")


async def test_a_posted_day_goes_from_the_vendor_to_duckdb_and_parquet(
    stack: ComposeStack, stack_bus: Bus
) -> None:
    day = Day(ticker="NQ_NDX", day=date(2025, 11, 14), snapshots=120, strikes=20)
    written = stack.offer(day)
    job = await stack.finished(await stack.post(vendor_url(day)))
    assert job["state"] == "completed", job
    assert (job["snapshots"], job["strike_rows"]) == (written.snapshots, written.strike_rows)
    assert job["checksum"] == written.sha256
    assert [step["state"] for step in job["transitions"]] == ["pending", "started", "staged", "completed"]
    await assert_holds_exactly(stack_bus, day)


async def test_a_local_file_is_imported_and_not_moved(stack: ComposeStack, stack_bus: Bus) -> None:
    day = Day(ticker="SPX", endpoint="gex_full", day=date(2025, 11, 13), snapshots=60, strikes=10)
    stack.offer(day)
    job = await stack.finished(await stack.post(local_url(day)))
    assert job["state"] == "completed", job
    await assert_holds_exactly(stack_bus, day)
    assert (stack.files / day.file_name).exists()


async def test_no_signed_query_appears_in_logs_events_or_the_ledger(
    stack: ComposeStack, stack_bus: Bus
) -> None:
    day = Day(ticker="VIX", day=date(2025, 11, 14), snapshots=20, strikes=3)
    stack.offer(day)
    job_id = await stack.post(vendor_url(day, "sig=Unmistakable4711"))
    job = await stack.finished(job_id)
    rows = await query_lake(stack_bus, f"SELECT * FROM gex_history_queue WHERE id = '{job_id}'")
    events = await events_of(stack_bus, job_id)
    assert (len(rows), len(events)) == (1, 5)
    for text in (json.dumps(job), json.dumps(rows), *events, stack.logs()):
        assert "Unmistakable4711" not in text


async def test_jobs_and_data_survive_new_containers(stack: ComposeStack) -> None:
    day = Day(ticker="RUT", day=date(2025, 11, 12), snapshots=60, strikes=10)
    stack.offer(day)
    job_id = await stack.post(local_url(day))
    before = await stack.finished(job_id)
    stack.down()
    stack.up()
    assert await stack.finished(job_id) == before
    async with stack.connected() as bus:
        await assert_holds_exactly(bus, day)
    again = await stack.finished(await stack.post(local_url(day)))
    assert (again["state"], again["skipped"]) == ("completed", True), again


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_without_root_and_without_a_writable_root(stack: ComposeStack, service: str) -> None:
    uid, mounts = stack.exec(service, "sh", "-c", "id -u; grep ' / ' /proc/mounts").split("\n", 1)
    assert uid == "10001"
    assert mounts.split()[3].split(",")[0] == "ro"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_contains_only_its_own_service(stack: ComposeStack, service: str) -> None:
    look = """if True:
        import importlib.util, json, pkgutil, services
        print(json.dumps({
            "services": [module.name for module in pkgutil.iter_modules(services.__path__)],
            "duckdb": importlib.util.find_spec("duckdb") is not None,
        }))"""
    found = json.loads(stack.exec(service, "python", "-c", look))
    assert found == {"services": [service], "duckdb": service == "importer"}


async def events_of(bus: Bus, job_id: str) -> list[str]:
    """Return the raw events of a job in EVENTS."""
    found: list[str] = []
    async for entry in follow(bus, EVENTS, f"gex.event.job.*.{job_id}"):
        if entry.data is None:
            break
        found.append(entry.data.decode())
    return found
