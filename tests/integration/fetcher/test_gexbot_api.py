"""Days that are asked of the vendor's API: fetchers on a real nats-server, beside stand-ins of the vendor."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from nats.aio.msg import Msg
from pydantic import SecretStr

from gexlake.api.jobs import Status
from services.fetcher.settings import FetcherSettings
from services.fetcher.wiring import serve
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.bus.messages import Event, FetchFile, FileStaged, Job, JobFailed, JobStarted, NoData
from shared.bus.reports.presence import Heartbeat
from shared.gexbot.partition import Partition
from shared.gexbot.source_name import vendor_name
from shared.job_states import JobStates
from shared.sources.record import SourceRecord
from simulator.vendor import Fault, Vendor
from simulator.vendor_api import KEY, FakeVendorApi
from tests.support.fetcher.fetching import fetching
from tests.support.poll import eventually
from tests.support.values import a_fetch, a_job

CONTENT = b"[" + b'{"timestamp": 1763130600},' * 50_000 + b"{}]"
DAY = Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
E = TypeVar("E", bound=Event)
MISSING = Partition("NQ_NDX", "gex_zero", date(2025, 11, 13))
NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    with Vendor(folder) as vendor:
        yield vendor


@pytest.fixture
def api(vendor: Vendor) -> Iterator[FakeVendorApi]:
    with FakeVendorApi(vendor) as api:
        yield api


@pytest.fixture
def settings(nats_url: str, tmp_path: Path, vendor: Vendor, api: FakeVendorApi) -> FetcherSettings:
    return FetcherSettings(
        nats_url=nats_url,
        data_dir=tmp_path / "data",
        retry_delay_s=0.05,
        allowed_sources=(vendor.base_url,),
        vendor_api=api.base,
        gexbot_api_key=SecretStr(KEY),
    )


def command_for(settings: FetcherSettings, partition: Partition = DAY) -> FetchFile:
    """Return the command that a backfill gives for a day."""
    job = a_job(
        ticker=partition.ticker,
        endpoint=partition.endpoint,
        trading_day=partition.trading_day,
        base_url=settings.api.base_url_of(partition),
    )
    return a_fetch(job, url=SecretStr(settings.api.url_of(partition)))


async def fact(bus: Bus, kind: type[E], job: Job) -> E:
    return await eventually(
        lambda: bus.last_event(kind, job.job_id), what=f"{kind.__name__} of {job.base_url}"
    )


async def permanent_failure(bus: Bus, job: Job) -> JobFailed:
    async def look() -> JobFailed | None:
        failed = await bus.last_event(JobFailed, job.job_id)
        return failed if failed and failed.final else None

    return await eventually(look, what="the end of the job")


async def count(bus: Bus, stream: str) -> int:
    return (await bus.js.stream_info(stream)).state.messages


async def is_settled(bus: Bus) -> bool:
    """Return whether the worker has nothing in hand."""
    return not (await bus.js.consumer_info(subjects.JOBS, "fetch_medium")).num_ack_pending


async def test_a_day_is_asked_for_downloaded_and_staged_under_a_name_of_ours(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, api: FakeVendorApi
) -> None:
    command = command_for(settings)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        staged = await fact(bus, FileStaged, command.job)
    assert staged.staged_path == f"NQ_NDX/gex_zero/{NAME}"
    assert settings.paths.staged_from_relative(staged.staged_path).read_bytes() == CONTENT
    assert [(request.partition, request.status) for request in api.requests] == [(DAY, 200)]
    (download,) = vendor.requests.seen
    assert download.has_query
    assert "authorization" not in download.headers
    assert KEY not in str(download.headers)


async def test_a_packed_file_is_named_so(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, api: FakeVendorApi
) -> None:
    (vendor.folder / NAME).unlink()
    (vendor.folder / f"{NAME}.gz").write_bytes(gzip.compress(CONTENT))
    command = command_for(settings)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        staged = await fact(bus, FileStaged, command.job)
    assert staged.staged_path == f"NQ_NDX/gex_zero/{NAME}.gz"
    assert api.statuses == {200: 1}


async def test_a_day_without_data_is_a_fact_and_no_failure(
    bus: Bus, settings: FetcherSettings, api: FakeVendorApi
) -> None:
    command = command_for(settings, MISSING)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        told = await fact(bus, NoData, command.job)
        await eventually(lambda: is_settled(bus))
        await delivered_again(bus, command)
        assert await count(bus, subjects.DEAD) == 0
    source = api.base.removesuffix("/v2")
    assert told.reason == f"{source} has no data of NQ_NDX gex_zero for this day"
    assert api.statuses == {404: 1}
    assert not list(settings.paths.staging_root.rglob("*.*"))
    states = JobStates()
    states.apply(told, command.job.requested_at)
    assert [state.status for state in states] == [Status.SKIPPED]


async def delivered_again(bus: Bus, command: FetchFile) -> None:
    """Have a command that was settled delivered once more, as after an ack that was lost."""
    await bus.js.publish(command.subject, (await bus.js.get_msg(subjects.JOBS, seq=1)).data or b"")

    async def was_taken_up() -> bool:
        started = await bus.last_event(JobStarted, command.job.job_id)
        return started is not None and started.start == 2

    await eventually(was_taken_up)
    await eventually(lambda: is_settled(bus))


async def test_an_expired_signature_is_renewed_once(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, api: FakeVendorApi
) -> None:
    api.expire_next = 1
    command = command_for(settings)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await fact(bus, FileStaged, command.job)
    assert (api.statuses, vendor.requests.count(NAME)) == ({200: 2}, 2)
    assert await bus.last_event(JobFailed, command.job.job_id) is None


async def test_what_was_downloaded_before_the_signature_expired_is_kept(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, api: FakeVendorApi
) -> None:
    """The connection breaks, and the signature is past its time when the rest is asked for."""
    vendor.inject_fault(NAME, Fault(cut_after_bytes=700_000, times=1))
    admits = vendor.admits
    assert admits is not None
    answers = iter([True, False])
    vendor.admits = lambda name, query: next(answers, True) and admits(name, query)
    command = command_for(settings)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await fact(bus, FileStaged, command.job)
    assert api.statuses == {200: 2}
    assert [request.headers.get("range") for request in vendor.requests.seen] == [
        None,
        "bytes=700000-",
        "bytes=700000-",
    ]


async def test_a_fresh_signature_that_is_rejected_too_is_tried_again_later(
    bus: Bus, settings: FetcherSettings, api: FakeVendorApi
) -> None:
    api.expire_next = 2
    command = command_for(settings)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await fact(bus, FileStaged, command.job)
    failed = await bus.last_event(JobFailed, command.job.job_id)
    assert failed is not None
    assert (failed.final, failed.failures) == (False, 1)
    assert "has only just signed" in failed.error
    assert api.statuses == {200: 3}


@pytest.mark.slow
async def test_fetchers_together_ask_once_a_second_and_end_with_all_days(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, api: FakeVendorApi
) -> None:
    days = [Partition("SPX", "gex_one", date(2025, 11, day)) for day in (10, 11, 12, 13, 14)]
    for day in days:
        (vendor.folder / vendor_name(day)).write_bytes(CONTENT)
    commands = [command_for(settings, day) for day in days]
    async with connected(settings, "second") as other, fetching(bus, settings), fetching(other, settings):
        for command in commands:
            await bus.publish_command(command)
        for command in commands:
            await fact(bus, FileStaged, command.job)
    assert api.statuses == {200: 5}
    assert all(later.at_s - earlier.at_s >= 1 for earlier, later in pairwise(api.requests))


async def test_while_the_files_source_is_left_alone_the_api_is_not_asked_for_its_urls(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, api: FakeVendorApi
) -> None:
    days = [replace(DAY, trading_day=date(2025, 11, day)) for day in (10, 11, 12)]
    trying = replace(DAY, trading_day=date(2025, 11, 13))
    first, commands = command_for(settings), [command_for(settings, day) for day in days]
    async with fetching(bus, settings):
        await bus.publish_command(first)
        await fact(bus, FileStaged, first.job)
        await open_circuit(bus, vendor, timedelta(minutes=9))
        for command in commands:
            await bus.publish_command(command)
        for command in commands:
            assert "its circuit is open until" in (await fact(bus, JobFailed, command.job)).error
        assert [request.partition for request in api.requests] == [DAY]
        await open_circuit(bus, vendor, timedelta(0))
        (vendor.folder / vendor_name(trying)).write_bytes(CONTENT)
        await bus.publish_command(command_for(settings, trying))
        await fact(bus, FileStaged, command_for(settings, trying).job)
    assert api.statuses == {200: 2}


async def open_circuit(bus: Bus, vendor: Vendor, pause: timedelta) -> None:
    """Have fetchers leave the source of the files alone; after the pause one request tries it."""
    source = vendor.base_url.rstrip("/")
    record = SourceRecord(base_url=source, failures_in_a_row=5, openings=1, open_until=bus.clock() + pause)
    await bus.js.publish(subjects.source(source), record.model_dump_json().encode())


@pytest.mark.parametrize(
    ("key", "words"),
    [(None, "set GEXBOT_API_KEY"), (SecretStr("gexbot_custom_0ld"), "does not accept the key")],
    ids=["none", "wrong"],
)
async def test_without_a_good_key_a_day_is_a_dead_letter_that_says_so(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, key: SecretStr | None, words: str
) -> None:
    command = command_for(settings)
    async with fetching(bus, settings.model_copy(update={"gexbot_api_key": key})):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert words in failed.error
    assert "gexbot_custom_0ld" not in failed.model_dump_json()
    assert failed.failures == 1
    assert vendor.requests.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/hist/NQ_NDX/classic/gex_zero/2025-11-14.json",
        "/hist/NQ_NDX/classic/gex_zero/2025-11-14?noredirect&then=",
        "/hist/nq_ndx/classic/gex_zero/2025-11-14?noredirect",
        "/hist/NQ_NDX/classic/../classic/gex_zero/2025-11-14?noredirect",
        "/tickers/day.json",
    ],
)
async def test_another_url_at_the_apis_address_is_shown_no_key(
    bus: Bus, settings: FetcherSettings, api: FakeVendorApi, path: str
) -> None:
    command = a_fetch(a_job(), url=SecretStr(api.base + path))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await permanent_failure(bus, command.job)
    assert api.requests == []


async def test_a_day_of_an_api_that_the_fetcher_does_not_ask_says_so(
    bus: Bus, settings: FetcherSettings, api: FakeVendorApi
) -> None:
    command = command_for(settings.model_copy(update={"vendor_api": "https://api.gex.bot/v1"}))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert failed.error == (
        "the file is not fetched: its URL is of the API https://api.gex.bot/v1, "
        f"and this fetcher uses {api.base}: give intake and fetcher the same GEXLAKE_VENDOR_API, "
        "then ask for the backfill again"
    )
    assert api.requests == []


@pytest.mark.parametrize("key", [None, SecretStr(KEY)], ids=["without", "with"])
async def test_a_fetcher_tells_whether_it_has_a_key_and_not_which(
    bus: Bus, settings: FetcherSettings, key: SecretStr | None
) -> None:
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    await bus.client.subscribe(subjects.heartbeat("fetcher"), cb=hear)
    stop = asyncio.Event()
    keys = ("gexbot_api_key", "massive_api_key", "massive_s3_access_key", "massive_s3_secret_key")
    serving = asyncio.create_task(serve(settings.model_copy(update=dict.fromkeys(keys, key)), stop))
    await eventually(lambda: heard)
    stop.set()
    await serving
    beat = Heartbeat.model_validate_json(heard[0])
    assert {beat.has_vendor_key, beat.has_massive_key, beat.has_massive_file_keys} == {key is not None}
    assert KEY.encode() not in heard[0]
