"""A source that fails again and again is left alone, and others go on: the fetcher on a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gexlake.api.jobs import Priority, Stage
from services.fetcher.settings import FetcherSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import FetchFile, FileStaged, JobFailed
from shared.sources.record import SourceRecord
from shared.sources.record_store import SourceRecords
from simulator.vendor import Fault, Vendor
from tests.support.fetcher.fetching import fetching
from tests.support.poll import eventually
from tests.support.values import NOON, a_fetch, a_job

NAMES = tuple(f"2025-11-{day}_NQ_NDX_classic_gex_zero.json" for day in range(10, 15))
CONTENT = b'[{"timestamp": 1763130600}]'
FAILURES = 3


def vendor_in(folder: Path) -> Vendor:
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(CONTENT)
    return Vendor(folder)


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    with vendor_in(tmp_path / "vendor") as vendor:
        yield vendor


@pytest.fixture
def other_vendor(tmp_path: Path) -> Iterator[Vendor]:
    with vendor_in(tmp_path / "other") as vendor:
        yield vendor


@pytest.fixture
def settings(nats_url: str, tmp_path: Path, vendor: Vendor, other_vendor: Vendor) -> FetcherSettings:
    return FetcherSettings(
        nats_url=nats_url,
        data_dir=tmp_path / "data",
        retry_delay_s=0.05,
        max_attempts=9,
        allowed_sources=(vendor.base_url, other_vendor.base_url),
        source_max_failures=FAILURES,
        source_pause_s=2.5,
    )


def a_day(vendor: Vendor, name: str) -> FetchFile:
    return a_fetch(a_job(base_url=vendor.url_of(name, query="")), url=vendor.url_of(name))


async def staged(bus: Bus, *commands: FetchFile) -> None:
    async def all_of_them() -> bool:
        return all([await bus.last_event(FileStaged, command.job.job_id) for command in commands])

    await eventually(all_of_them, what="the files are staged")


async def left_alone(bus: Bus, *commands: FetchFile) -> None:
    async def all_of_them() -> bool:
        told = [await bus.last_event(JobFailed, command.job.job_id) for command in commands]
        return all(failed is not None and "times in a row" in failed.error for failed in told)

    await eventually(all_of_them, what="the fetches are put off")


async def record_of(bus: Bus, vendor: Vendor) -> SourceRecord:
    subject = subjects.source(vendor.base_url.rstrip("/"))
    message = await bus.js.get_last_msg(subjects.SOURCES, subject)
    return SourceRecord.model_validate_json(message.data or b"")


async def test_jobs_of_a_failing_source_wait_while_others_go_on_and_all_end_well(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, other_vendor: Vendor
) -> None:
    for name in NAMES:
        vendor.inject_fault(name, Fault(status=503))
    waiting = [a_day(vendor, name) for name in NAMES]
    async with fetching(bus, settings):
        for command in waiting:
            await bus.publish_command(command)
        await left_alone(bus, *waiting)
        asked = len(vendor.requests.seen)
        elsewhere = a_day(other_vendor, NAMES[0])
        await bus.publish_command(elsewhere)
        await staged(bus, elsewhere)
        for name in NAMES:
            vendor.inject_fault(name, Fault())
        await staged(bus, *waiting)
    failing, working = await record_of(bus, vendor), await record_of(bus, other_vendor)
    assert FAILURES <= asked <= 2 * FAILURES
    assert (failing.requests, failing.successes) == (len(vendor.requests.seen), len(NAMES))
    assert (failing.openings, failing.failures_in_a_row, failing.open_until) == (0, 0, None)
    assert (working.requests, working.successes, working.last_error) == (1, 1, None)
    assert (await bus.js.stream_info(subjects.DEAD)).state.messages == 0


async def test_jobs_of_a_deactivated_source_wait_without_an_attempt_until_it_is_activated(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    records, base_url = SourceRecords(bus), vendor.base_url.rstrip("/")
    off = SourceRecord(base_url=base_url, failing_since=NOON).deactivated("key:ba7816bf", NOON)
    revision = await records.write(off, 0)
    command = a_day(vendor, NAMES[0])
    # Its requested_at and the failure of its source are long ago, and it does not end as failed.
    impatient = settings.model_copy(update={"source_outage_limit_h": 0.001, "max_attempts": 1})
    async with fetching(bus, impatient):
        await bus.publish_command(command)

        async def deferred() -> JobFailed | None:
            return await bus.last_event(JobFailed, command.job.job_id)

        failed = await eventually(deferred)
        assert (failed.final, failed.failures, len(vendor.requests.seen)) == (False, 0, 0)
        assert f"{base_url} was deactivated by key:ba7816bf on 2025-11-14 at 17:00 UTC" in failed.error
        await records.write(off.activated(), revision or 0)
        await staged(bus, command)


async def test_a_record_that_a_client_has_changed_does_not_expire(bus: Bus) -> None:
    records, record = SourceRecords(bus), SourceRecord(base_url="https://a.test")

    async def lifetime(record: SourceRecord, revision: int) -> str | None:
        sequence = await records.write(record, revision)
        message = await bus.js.get_msg(subjects.SOURCES, seq=sequence or 0)
        return (message.headers or {}).get("Nats-TTL")

    found = [await lifetime(record, 0), await lifetime(record.named("A"), 1)]
    found += [await lifetime(record.deactivated("key:ba7816bf", NOON), 2), await lifetime(record, 3)]
    assert found == [None, "never", "never", None]


@pytest.mark.slow
async def test_waiting_for_a_source_costs_no_attempt(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    """One job alone makes every failure; with more attempts than failures are allowed, it still ends well."""
    vendor.inject_fault(NAMES[0], Fault(status=500, times=FAILURES))
    command = a_day(vendor, NAMES[0])
    impatient = settings.model_copy(update={"max_attempts": FAILURES + 1})
    async with fetching(bus, impatient):
        await bus.publish_command(command)
        await staged(bus, command)
    failed = await bus.last_event(JobFailed, command.job.job_id)
    assert failed is not None
    assert failed.failures == FAILURES
    assert failed.waits >= 1


@pytest.mark.slow
@pytest.mark.parametrize("failures", [FAILURES, 1000], ids=["its circuit opens", "its circuit stays closed"])
async def test_an_outage_costs_a_lone_job_no_attempt(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, failures: int
) -> None:
    vendor.stop()
    command = a_day(vendor, NAMES[0])
    impatient = settings.model_copy(
        update={
            "max_attempts": 1,
            "retry_delay_s": 0.01,
            "source_max_failures": failures,
            "source_pause_s": 0.1,
            "source_longest_pause_s": 0.1,
        }
    )
    async with fetching(bus, impatient):
        await bus.publish_command(command)

        async def has_waited() -> bool:
            last = await bus.last_event(JobFailed, command.job.job_id)
            return last is not None and last.waits >= 5

        await eventually(has_waited)
        with Vendor(vendor.folder, port=urlsplit(vendor.base_url).port or 0):
            await staged(bus, command)
    failed = await bus.last_event(JobFailed, command.job.job_id)
    assert failed is not None
    assert (failed.failures, failed.final) == (0, False)
    assert (await record_of(bus, vendor)).failing_since is None


@pytest.mark.slow
async def test_a_request_that_tries_the_source_in_vain_costs_its_job_no_attempt(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    """However long the source is down: with one attempt more than failures are allowed, the job ends well."""
    vendor.inject_fault(NAMES[0], Fault(raw_response=b"", times=FAILURES + 3))
    command = a_day(vendor, NAMES[0])
    impatient = settings.model_copy(
        update={"max_attempts": FAILURES + 1, "source_pause_s": 0.1, "source_longest_pause_s": 0.1}
    )
    async with fetching(bus, impatient):
        await bus.publish_command(command)
        await staged(bus, command)
    failed = await bus.last_event(JobFailed, command.job.job_id)
    assert failed is not None
    assert (failed.failures, failed.final) == (FAILURES, False)
    assert len(vendor.requests.seen) == FAILURES + 4


async def test_a_file_that_the_source_never_gives_ends_though_it_alone_is_what_tries_the_source(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    vendor.inject_fault(NAMES[0], Fault(status=500))
    command = a_day(vendor, NAMES[0])
    patient = settings.model_copy(
        update={"max_attempts": FAILURES + 2, "source_pause_s": 0.1, "source_longest_pause_s": 0.1}
    )
    async with fetching(bus, patient):
        await bus.publish_command(command)

        async def permanent_failure() -> bool:
            failed = await bus.last_event(JobFailed, command.job.job_id)
            return failed is not None and failed.final

        await eventually(permanent_failure, what="the fetch is given up")
    assert len(vendor.requests.seen) == FAILURES + 2


async def is_in_hand(bus: Bus, messages: int) -> bool:
    info = await bus.js.consumer_info(subjects.JOBS, subjects.durable(Stage.FETCH, Priority.MEDIUM))
    return bool(info.num_ack_pending == messages)


async def test_hundreds_of_jobs_that_wait_for_a_source_do_not_hold_up_those_behind_them(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, other_vendor: Vendor
) -> None:
    """What is put off still counts as in hand at the broker, which bounds that."""
    source = vendor.base_url.rstrip("/")
    permanent_failure = SourceRecord(
        base_url=source, failures_in_a_row=9, open_until=bus.clock() + timedelta(minutes=9)
    )
    await bus.js.publish(subjects.source(source), permanent_failure.model_dump_json().encode())
    await asyncio.gather(*(bus.publish_command(a_day(vendor, f"{number}.json")) for number in range(300)))
    elsewhere = a_day(other_vendor, NAMES[0])
    await bus.publish_command(elsewhere)
    async with fetching(bus, settings):
        await staged(bus, elsewhere)
        await eventually(lambda: is_in_hand(bus, 300), what="the ack of the job that is done")
    assert vendor.requests.seen == []


async def test_a_file_that_is_missing_or_no_file_opens_no_circuit(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    (vendor.folder / "page.json").write_bytes(b"<html>")
    names = ["page.json", *(f"missing-{number}.json" for number in range(2 * FAILURES))]
    async with fetching(bus, settings):
        for name in names:
            await bus.publish_command(a_day(vendor, name))

        async def all_failed() -> bool:
            return (await bus.js.stream_info(subjects.DEAD)).state.messages == len(names)

        await eventually(all_failed)
    record = await record_of(bus, vendor)
    assert (record.requests, record.successes) == (len(names), len(names) - 1)
    assert (record.failures_in_a_row, record.openings) == (0, 0)
    assert record.last_success_at is None
    assert record.mean_response_s is not None
