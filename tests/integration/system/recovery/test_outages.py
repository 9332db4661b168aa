"""Outages that last: a broker that is away or silent for long, a fetcher that was stopped, ids sent again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
from nats.js.api import StreamConfig

from shared.bus import subjects
from shared.bus.connection import Bus
from simulator.generator import Day
from simulator.stack import NATS, SERVICES, Stack
from simulator.vendor import Fault, Vendor
from tests.support.poll import eventually
from tests.support.system.audit import audit, messages
from tests.support.system.clients import Accepted, PatientClient, patient_client
from tests.support.system.network import blackhole
from tests.support.system.proxy import proxy_to
from tests.support.system.running import SETTINGS, System, connection_to, running_system
from tests.support.system.workload import Outcome

pytestmark = pytest.mark.slow

OUTAGE_S: Final = 130.0
"""Longer than the two minutes of JetStream's default window for duplicates."""
BLACKHOLE_S: Final = 16.0
"""Longer than two pings of 5 s without a reply, after which a client gives a connection up."""
IMPATIENT: Final = {
    "GEXLAKE_FETCH_CONNECT_TIMEOUT_S": "0.5",
    "GEXLAKE_FETCH_READ_TIMEOUT_S": "1",
    "GEXLAKE_SOURCE_PAUSE_S": "0.5",
    "GEXLAKE_SOURCE_LONGEST_PAUSE_S": "1",
}
HELD: Final = Fault(hold_after_bytes=1_000)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path) as system:
        yield system


@pytest.fixture
async def client(system: System) -> AsyncIterator[PatientClient]:
    async with patient_client(system.stack.url, system.vendor) as client:
        yield client


def completed(day: Day, accepted: Accepted) -> Outcome:
    return Outcome(day, accepted.job_id, {"completed"}, list(day.records()))


async def post_held(system: System, client: PatientClient) -> tuple[Day, Accepted]:
    """Post a day whose download stops half way until the vendor goes on."""
    day = system.new_day()
    system.vendor.inject_fault(day.file_name, HELD)
    accepted = await client.post(day)
    await eventually(lambda: system.vendor.requests.count(day.file_name), what="the download")
    return day, accepted


async def refused_in_time(system: System) -> bool:
    """Return whether a post is answered 503 within 5 s."""
    started = time.monotonic()
    async with httpx.AsyncClient(base_url=system.stack.url, trust_env=False, timeout=10) as http:
        url = system.vendor.url_of(system.days[0].file_name, "sig=during")
        answer = await http.post("/gex_history_url", json={"url": url})
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and time.monotonic() - started < 5.0


async def test_a_broker_that_is_away_for_130_s_costs_no_job(system: System, client: PatientClient) -> None:
    """A job is fetched in the meantime; its messages are sent again once the broker is back."""
    before = system.new_day()
    done = await client.post(before)
    await client.finished(done)
    day, accepted = await post_held(system, client)
    system.stack.kill(NATS)
    system.vendor.release()
    assert await refused_in_time(system)
    await asyncio.sleep(OUTAGE_S)
    assert [name for name, process in system.stack.processes.items() if process.poll() is not None] == []
    system.stack.start_service(NATS)
    after = system.new_day()
    later = await client.post(after)
    for each in (accepted, later):
        await client.finished(each)
    expected = [completed(before, done), completed(day, accepted), completed(after, later)]
    await audit(system, client.jobs, expected)


async def test_a_fetcher_that_is_stopped_and_woken_stores_nothing_twice(
    system: System, client: PatientClient
) -> None:
    """It sleeps for longer than ``ack_wait``: another fetcher has done its job when it goes on."""
    day, accepted = await post_held(system, client)
    with system.stack.frozen("fetcher"):
        system.vendor.inject_fault(day.file_name, Fault())
        system.stack.start_service("fetcher", instance=2)
        job = await client.finished(accepted)
        staged = next(path for path in system.stack.data_dir.rglob(day.file_name))
        first = staged.stat()
        system.vendor.release()
    await eventually(lambda: not system.temporary_files(), what="the end of the woken fetcher's download")
    assert staged.stat().st_mtime_ns == first.st_mtime_ns
    await audit(system, client.jobs, [completed(day, accepted)])
    async with connection_to(system.stack) as bus:
        kinds = [message.subject.split(".")[3] for message in await messages(bus, subjects.EVENTS)]
    assert job["state"] == "completed"
    assert (kinds.count("staged"), kinds.count("imported")) == (1, 1)


async def test_a_network_that_drops_every_packet_to_the_broker_costs_no_job(tmp_path: Path) -> None:
    files = tmp_path / "vendor"
    files.mkdir()
    stack = Stack(tmp_path / "stack")
    with Vendor(files) as vendor:
        async with proxy_to(stack.nats.port) as proxy:
            allowed = {"GEXLAKE_ALLOWED_SOURCES": vendor.base_url}
            through = {"GEXLAKE_NATS_URL": f"nats://127.0.0.1:{proxy.port}"}
            await asyncio.to_thread(stack.start_service, NATS)
            try:
                for name in SERVICES:
                    await asyncio.to_thread(stack.start_service, name, {**SETTINGS, **allowed, **through})
                await asyncio.to_thread(stack.wait_ready)
                system = System(stack, vendor, files)
                async with patient_client(stack.url, vendor) as client:
                    day, accepted = await post_held(system, client)
                    proxy.drop()
                    vendor.release()
                    assert await refused_in_time(system)
                    await asyncio.sleep(BLACKHOLE_S)
                    proxy.restore()
                    await client.finished(accepted)
                    await asyncio.to_thread(stack.wait_ready)
                    await audit(system, client.jobs, [completed(day, accepted)])
            finally:
                await asyncio.to_thread(stack.stop)


async def test_a_network_that_drops_every_packet_of_the_source_costs_no_job(tmp_path: Path) -> None:
    """The download that is under way fails once; without a connection, no attempt counts."""
    with running_system(tmp_path, IMPATIENT) as system:
        async with patient_client(system.stack.url, system.vendor) as client:
            day = system.new_day()
            system.vendor.inject_fault(day.file_name, Fault(bytes_per_s=5_000))
            accepted = await client.post(day)
            await eventually(lambda: system.vendor.requests.sent_bytes > 1_000, what="the download")
            with blackhole(urlsplit(system.vendor.base_url).port or 0):
                await asyncio.sleep(BLACKHOLE_S)
                system.vendor.inject_fault(day.file_name, Fault())
            job = await client.finished(accepted)
            assert job["failures"] <= 1
            await audit(system, client.jobs, [completed(day, accepted)])


@pytest.mark.parametrize("window_is_over", [False, True])
async def test_messages_sent_again_after_a_restart_of_the_broker_do_nothing_twice(
    system: System, client: PatientClient, window_is_over: bool
) -> None:
    """Within the window for duplicates (a day) the broker drops them; later workers find the work done."""
    day = system.new_day()
    accepted = await client.post(day)
    await client.finished(accepted)
    system.stack.kill(NATS)
    system.stack.start_service(NATS)
    await asyncio.to_thread(system.stack.wait_ready)
    async with connection_to(system.stack) as bus:
        if window_is_over:
            await shorten_window(bus)
        commands = await messages(bus, subjects.JOBS)
        assert len(commands) == 2
        for command in commands:
            ack = await bus.publish(command.subject, command.data, subjects.JOBS, command.msg_id)
            assert bool(ack.duplicate) is not window_is_over
        rows = await system.sql("SELECT updated_at FROM partitions")
        await eventually(lambda: is_settled(bus, ack.seq), what="the end of the commands")
        assert await system.sql("SELECT updated_at FROM partitions") == rows
    await system.assert_whole(day)
    assert (await client.finished(accepted))["state"] == "completed"
    assert system.vendor.requests.count(day.file_name) == 1


async def is_settled(bus: Bus, sequence: int) -> bool:
    """Return whether all commands up to a sequence were delivered and settled."""
    consumers = await bus.js.consumers_info(subjects.JOBS)
    return all(each.num_pending == each.num_ack_pending == 0 for each in consumers) and any(
        (each.ack_floor.stream_seq if each.ack_floor else 0) >= sequence for each in consumers
    )


async def shorten_window(bus: Bus) -> None:
    """Set the window for duplicates of the streams to a tenth of a second, and let it pass."""
    for stream in (subjects.JOBS, subjects.EVENTS):
        config: StreamConfig = (await bus.js.stream_info(stream)).config
        await bus.js.update_stream(config.evolve(duplicate_window=0.1))
    await asyncio.sleep(0.3)
