"""The fetcher on a real nats-server, with the stand-in of the vendor."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gexlake.api.jobs import Priority, Stage
from services.fetcher.settings import FetcherSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer import dead_letters
from shared.bus.envelope import decode
from shared.bus.messages import FetchFile, FileStaged, ImportFile, Job, JobFailed, JobReplayed, JobRequested
from shared.bus.reports.progress import Progress
from shared.bus.storage import posted_files
from shared.paths import is_partial
from simulator.vendor import Fault, Vendor
from tests.support.fetcher.fetching import fetching
from tests.support.poll import eventually
from tests.support.values import a_fetch, a_job

NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"
CONTENT = b"[" + b'{"timestamp": 1763130600},' * 50_000 + b"{}]"
SECRET = "secret-signature"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    with Vendor(folder) as vendor:
        yield vendor


@pytest.fixture
def settings(nats_url: str, tmp_path: Path, vendor: Vendor) -> FetcherSettings:
    return FetcherSettings(
        nats_url=nats_url,
        data_dir=tmp_path / "data",
        retry_delay_s=0.05,
        allowed_sources=(vendor.base_url,),
        local_source_dirs=(str(tmp_path / "history"),),
    )


def a_day(vendor: Vendor, name: str = NAME, **changes: object) -> FetchFile:
    job = a_job(base_url=vendor.url_of(name, query=""), **changes)
    return a_fetch(job, url=vendor.url_of(name, query=f"sig={SECRET}"))


async def staged(bus: Bus, job: Job) -> FileStaged:
    async def announced() -> FileStaged | None:
        return await bus.last_event(FileStaged, job.job_id)

    return await eventually(announced, what="the file is staged")


async def permanent_failure(bus: Bus, job: Job) -> JobFailed:
    async def failed() -> JobFailed | None:
        last = await bus.last_event(JobFailed, job.job_id)
        return last if last is not None and last.final else None

    return await eventually(failed, what="the job is given up")


async def imports(bus: Bus) -> list[ImportFile]:
    """Return every import command that JOBS holds."""
    state = (await bus.js.stream_info(subjects.JOBS)).state
    found = []
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await bus.js.get_msg(subjects.JOBS, seq=sequence)
        payload = decode(message.subject or "", message.data or b"").open(message.subject or "")
        if isinstance(payload, ImportFile):
            found.append(payload)
    return found


def left_over(settings: FetcherSettings) -> list[Path]:
    return [path for path in settings.paths.staging_root.rglob("*") if is_partial(path)]


def forbidden(error: str, times: int | None = None) -> Fault:
    body = b'{"error":"%b"}' % error.encode()
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    return Fault(raw_response=head + body, times=times)


async def test_a_403_on_a_path_of_hist_is_retried_before_it_is_believed(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    names = [f"hist/{day}_NQ_NDX_classic_gex_zero.json" for day in ("2025-11-12", "2025-11-13")]
    (vendor.folder / "hist").mkdir()
    for name in names:
        (vendor.folder / name).write_bytes(CONTENT)
    vendor.inject_fault(names[0], forbidden("slow down", times=2))
    vendor.inject_fault(names[1], forbidden("Classic package does not have access."))
    throttled, refused = (a_day(vendor, name) for name in names)
    async with fetching(bus, settings):
        for command in (throttled, refused):
            await bus.publish_command(command)
        assert (await staged(bus, throttled.job)).size_bytes == len(CONTENT)
        failure = await permanent_failure(bus, refused.job)
    assert [vendor.requests.count(name) for name in names] == [3, 3]
    assert failure.failures == 3
    assert "answered 403 ('Classic package does not have access.')" in failure.error


async def test_a_posted_file_is_staged_without_a_request_to_its_url(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    content, name = b'[{"timestamp": 1763130600}]', "2025-11-13_NQ_NDX_classic_gex_zero.json"
    sha256, job = hashlib.sha256(content).hexdigest(), a_job(base_url=vendor.url_of(name, query=""))
    sequence = await posted_files.publish(bus, job.job_id, posted_files.pack(content), sha256)
    async with fetching(bus, settings):
        posted = {"url": vendor.url_of(name), "body_sha256": sha256}
        await bus.publish_command(a_fetch(job, body_seq=sequence, **posted))
        event = await staged(bus, job)
        assert settings.paths.staged_from_relative(event.staged_path).read_bytes() == content
        assert (event.sha256, event.size_bytes) == (sha256, len(content))
        again = job.model_copy(update={"generation": 2})
        await bus.publish_command(a_fetch(again, body_seq=sequence + 1, **posted))
        failure = await permanent_failure(bus, job)
    assert failure.field == "raw_body"
    assert "no longer message 2 of BODIES: post it again" in failure.error
    assert vendor.requests.count(name) == 0
    assert left_over(settings) == []


async def settled(bus: Bus, priority: Priority = Priority.MEDIUM) -> bool:
    info = await bus.js.consumer_info(subjects.JOBS, subjects.durable(Stage.FETCH, priority))
    return not info.num_ack_pending and not info.num_pending


async def test_a_day_is_staged_read_only_and_its_import_asked_for(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor).model_copy(update={"force": True, "reason": "the vendor corrected it"})
    async with fetching(bus, settings):
        await bus.publish_command(command)
        event = await staged(bus, command.job)
    path = settings.paths.staging_root / "gexbot" / "NQ_NDX" / "gex_zero" / NAME
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    (importing,) = await imports(bus)
    assert importing == ImportFile(
        job=command.job,
        force=True,
        reason="the vendor corrected it",
        staged_path=f"NQ_NDX/gex_zero/{NAME}",
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        modified_ns=path.stat().st_mtime_ns,
    )
    assert (event.staged_path, event.size_bytes, event.sha256) == (
        importing.staged_path,
        importing.size_bytes,
        importing.sha256,
    )
    original = await bus.js.get_msg(subjects.JOBS, seq=event.command_seq)
    assert original.subject == importing.subject
    assert left_over(settings) == []
    (request,) = vendor.requests.seen
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("gexlake/")


async def test_progress_is_published_until_the_end(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, Fault(hold_after_bytes=1000))
    told: list[Progress] = []
    subscription = await bus.client.subscribe(subjects.progress(command.job.job_id))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        told.append(Progress.model_validate_json((await subscription.next_msg(timeout=10)).data))
        vendor.release()
        while told[-1].done_bytes < len(CONTENT):
            told.append(Progress.model_validate_json((await subscription.next_msg(timeout=10)).data))
        await staged(bus, command.job)
    assert told[0].done_bytes == 1000
    assert {progress.total_bytes for progress in told} == {len(CONTENT)}
    assert {progress.stage for progress in told} == {Stage.FETCH}


@pytest.mark.parametrize(
    "trouble",
    [
        Fault(cut_after_bytes=700_000, headers={"ETag": ""}, times=1),
        Fault(cut_after_bytes=0, times=1),
        Fault(status=503, times=2),
        Fault(status=429, times=1),
    ],
    ids=["cut-without-a-tag", "cut-at-once", "503-twice", "429"],
)
async def test_a_passing_trouble_is_overcome(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, trouble: Fault
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, trouble)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        event = await staged(bus, command.job)
    failed = await bus.last_event(JobFailed, command.job.job_id)
    assert failed is not None
    assert (failed.final, failed.failures) == (False, trouble.times)
    assert "127.0.0.1" in failed.error
    assert event.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert left_over(settings) == []


async def test_a_connection_that_breaks_is_gone_on_with_in_the_same_attempt(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, Fault(cut_after_bytes=500_000))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        event = await staged(bus, command.job)
    assert await bus.last_event(JobFailed, command.job.job_id) is None
    asked = [request.headers.get("range") for request in vendor.requests.seen]
    assert asked == [None, "bytes=500000-", "bytes=1000000-"]
    assert vendor.requests.sent_bytes == len(CONTENT)
    assert event.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert left_over(settings) == []


async def test_a_source_that_says_when_to_come_back_is_asked_no_sooner(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, Fault(status=429, headers={"Retry-After": "3600"}, times=1))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with fetching(bus, settings.model_copy(update={"fetch_retry_after_max_s": 0.5})):
        await bus.publish_command(command)
        await staged(bus, command.job)
    assert loop.time() - began >= 0.5
    failed = await bus.last_event(JobFailed, command.job.job_id)
    assert failed is not None
    assert "a Retry-After of 3600 s" in failed.error


async def test_a_fresh_signature_goes_on_where_the_expired_one_ended(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, Fault(cut_after_bytes=50_000, times=1))
    async with fetching(bus, settings.model_copy(update={"max_attempts": 1})):
        await bus.publish_command(command)
        await permanent_failure(bus, command.job)
        assert len(left_over(settings)) == 1
        fresh = command.job.model_copy(update={"generation": 2})
        await bus.publish_command(a_fetch(fresh, url=vendor.url_of(NAME, query="sig=fresh-secret")))
        event = await staged(bus, fresh)
    assert vendor.requests.seen[-1].headers["range"] == "bytes=50000-"
    assert event.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert left_over(settings) == []


async def test_a_silent_source_fails_permanently_after_three_attempts(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, Fault(hold_after_bytes=10))
    impatient = settings.model_copy(update={"fetch_read_timeout_s": 0.1})
    async with fetching(bus, impatient):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert (failed.failures, vendor.requests.count(NAME)) == (3, 3)
    assert "sent nothing for too long" in failed.error


async def test_a_source_that_stays_unreachable_for_too_long_ends_its_job(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    vendor.stop()
    async with fetching(bus, settings.model_copy(update={"source_outage_limit_h": 0.0})):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
    assert failed.error.startswith(f"{vendor.base_url.rstrip('/')} could not be reached")
    assert "GEXLAKE_SOURCE_OUTAGE_LIMIT_H" in failed.error


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Fault(status=403), "the signature has expired or is not valid: post a fresh URL"),
        (Fault(status=404), "has no such file"),
        (Fault(redirect_to="https://elsewhere.test/day.json?sig=other-secret"), "not allowed"),
        (Fault(redirect_to="file:///etc/day.json"), "not allowed"),
    ],
    ids=["403", "404", "redirect-elsewhere", "redirect-to-file"],
)
async def test_a_final_answer_is_a_dead_letter_at_once_that_says_why(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, trouble: Fault, words: str
) -> None:
    command = a_day(vendor)
    vendor.inject_fault(NAME, trouble)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        failed = await permanent_failure(bus, command.job)
        await eventually(lambda: settled(bus))
    letter = await bus.js.get_msg(subjects.DEAD, seq=failed.dead_letter_seq)
    assert letter.headers is not None
    assert words in letter.headers[dead_letters.REASON]
    assert vendor.requests.count(NAME) == 1
    assert "secret" not in str(letter.headers) + failed.model_dump_json()
    assert await imports(bus) == []


async def test_a_file_that_is_empty_or_a_web_page_or_too_large_is_refused(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    files = {"empty.json": b"", "page.json": b"<html>expired</html>", "large.json": b"[" * 1001}
    for name, content in files.items():
        (vendor.folder / name).write_bytes(content)
    async with fetching(bus, settings.model_copy(update={"max_file_bytes": 1000})):
        errors = {}
        for name in files:
            command = a_day(vendor, name)
            await bus.publish_command(command)
            errors[name] = (await permanent_failure(bus, command.job)).error
    assert "is empty" in errors["empty.json"]
    assert "web page" in errors["page.json"]
    assert "GEXLAKE_MAX_FILE_BYTES" in errors["large.json"]
    assert not list(settings.paths.staging_root.rglob("*.json"))


async def test_a_redirect_to_an_allowed_source_is_followed_up_to_three_times(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    for hop in range(4):
        target = vendor.url_of(f"hop{hop + 1}.json") if hop < 3 else vendor.url_of(NAME)
        vendor.inject_fault(f"hop{hop}.json", Fault(redirect_to=target, status=307))
    allowed, too_long = a_day(vendor, "hop1.json"), a_day(vendor, "hop0.json")
    async with fetching(bus, settings):
        await bus.publish_command(allowed)
        await bus.publish_command(too_long)
        event = await staged(bus, allowed.job)
        failed = await permanent_failure(bus, too_long.job)
    assert event.staged_path == "NQ_NDX/gex_zero/hop1.json"
    assert event.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert "redirects more than 3 times" in failed.error


async def test_a_compressed_file_is_kept_as_it_is(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    compressed = gzip.compress(CONTENT)
    (vendor.folder / f"{NAME}.gz").write_bytes(compressed)
    vendor.inject_fault(f"{NAME}.gz", Fault(content_type="application/gzip", content_length=False))
    command = a_day(vendor, f"{NAME}.gz")
    async with fetching(bus, settings):
        await bus.publish_command(command)
        event = await staged(bus, command.job)
    assert settings.paths.staged_from_relative(event.staged_path).read_bytes() == compressed


async def test_a_local_file_is_copied_and_kept_and_a_link_out_refused(
    bus: Bus, settings: FetcherSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    (tmp_path / "outside.json").write_bytes(b"[]")
    (folder / "escape.json").symlink_to(tmp_path / "outside.json")
    good, bad = (
        a_fetch(a_job(base_url=(folder / name).as_uri()), url=(folder / name).as_uri())
        for name in (NAME, "escape.json")
    )
    async with fetching(bus, settings):
        await bus.publish_command(good)
        await bus.publish_command(bad)
        event = await staged(bus, good.job)
        failed = await permanent_failure(bus, bad.job)
    assert settings.paths.staged_from_relative(event.staged_path).read_bytes() == CONTENT
    assert (folder / NAME).read_bytes() == CONTENT
    assert "symbolic link" in failed.error


async def test_a_generation_that_is_staged_is_not_fetched_again(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        event = await staged(bus, command.job)
        await eventually(lambda: settled(bus))
        modified_ns = settings.paths.staged_from_relative(event.staged_path).stat().st_mtime_ns
        await bus.js.publish(command.subject, await command_bytes(bus))
        await eventually(lambda: settled(bus))
    assert vendor.requests.count(NAME) == 1
    assert [importing.modified_ns for importing in await imports(bus)] == [modified_ns]


async def test_a_staged_file_that_was_lost_is_fetched_again(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    async with fetching(bus, settings):
        await bus.publish_command(command)
        path = settings.paths.staged_from_relative((await staged(bus, command.job)).staged_path)
        await eventually(lambda: settled(bus))
        path.unlink()
        await bus.js.publish(command.subject, await command_bytes(bus))
        await eventually(path.exists)
    assert path.read_bytes() == CONTENT


async def command_bytes(bus: Bus) -> bytes:
    """Return the first command as JOBS holds it, to be delivered once more."""
    return (await bus.js.get_msg(subjects.JOBS, seq=1)).data or b""


async def test_a_fetch_that_was_overtaken_leaves_the_newer_file(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor)
    newer = command.job.model_copy(update={"generation": 2})
    place = settings.paths.staged("NQ_NDX", "gex_zero", NAME)
    vendor.inject_fault(NAME, Fault(hold_after_bytes=10))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await eventually(lambda: vendor.requests.count(NAME))
        await bus.publish_event(JobRequested(job=newer, command_seq=2, url_sha256="0" * 64))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"[]")
        vendor.release()
        await eventually(lambda: settled(bus))
    assert place.read_bytes() == b"[]"
    assert await imports(bus) == []
    assert len(left_over(settings)) == 1  # for the later request to go on with


@pytest.mark.parametrize("held_responses", [1, 2], ids=["after-it", "beside-it"])
async def test_a_fetch_that_ends_after_the_newer_one_or_beside_it_leaves_nothing(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, held_responses: int
) -> None:
    command = a_day(vendor)
    newer = command.job.model_copy(update={"generation": 2})
    vendor.inject_fault(NAME, Fault(hold_after_bytes=500_000, times=held_responses))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await eventually(lambda: vendor.requests.sent_bytes)
        await bus.publish_event(JobRequested(job=newer, command_seq=2, url_sha256="0" * 64))
        await bus.publish_command(a_fetch(newer, url=vendor.url_of(NAME, query="sig=fresh-secret")))
        await eventually(lambda: vendor.requests.count(NAME) == 2)
        if held_responses == 1:
            await staged(bus, newer)
        vendor.release()
        await eventually(lambda: settled(bus))
    assert (await staged(bus, newer)).job.generation == 2
    assert left_over(settings) == []
    assert len(await imports(bus)) == 1


async def test_a_newer_request_goes_on_with_the_download_in_progress(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    command = a_day(vendor, priority=Priority.LOW)
    newer = command.job.model_copy(update={"generation": 2, "priority": Priority.CRITICAL})
    vendor.inject_fault(NAME, Fault(hold_after_bytes=500_000, times=1))
    async with fetching(bus, settings):
        await bus.publish_command(command)
        await eventually(lambda: vendor.requests.sent_bytes >= 500_000)
        await bus.publish_event(
            JobReplayed(job=newer, stage=Stage.FETCH, replay_of="priority", command_seq=2)
        )
        await bus.publish_command(a_fetch(newer, url=vendor.url_of(NAME, query=f"sig={SECRET}")))
        event = await staged(bus, newer)
        vendor.release()
        await eventually(lambda: settled(bus))
    assert vendor.requests.seen[-1].headers["range"] == "bytes=500000-"
    assert (event.job.generation, event.sha256) == (2, hashlib.sha256(CONTENT).hexdigest())
    assert [command.job.priority for command in await imports(bus)] == [Priority.CRITICAL]
    assert left_over(settings) == []


async def test_four_slots_fetch_at_once_the_last_for_critical_work(
    bus: Bus, settings: FetcherSettings, vendor: Vendor
) -> None:
    names = [f"{index}.json" for index in range(5)]
    for name in (*names, "urgent.json"):
        (vendor.folder / name).write_bytes(CONTENT)
        vendor.inject_fault(name, Fault(hold_after_bytes=10))
    commands = [a_day(vendor, name) for name in names]
    urgent = a_day(vendor, "urgent.json", priority=Priority.CRITICAL)
    async with fetching(bus, settings) as worker:
        for command in commands:
            await bus.publish_command(command)
        # Taken up before them, the urgent one would have one of their slots.
        await eventually(lambda: vendor.requests.peak == 3, what=lambda: f"{worker.busy} {vendor.requests}")
        await bus.publish_command(urgent)
        await eventually(lambda: vendor.requests.peak == 4, what=lambda: f"{worker.busy} {vendor.requests}")
        assert (worker.busy, vendor.requests.count("urgent.json")) == (4, 1)
        vendor.release()
        for command in (*commands, urgent):
            await staged(bus, command.job)
    assert vendor.requests.peak == 4


async def test_a_large_file_is_never_in_memory(bus: Bus, settings: FetcherSettings, vendor: Vendor) -> None:
    """64 MiB pass through; this process, vendor included, holds a few MiB of them at its peak."""
    mib = 1024 * 1024
    with (vendor.folder / "large.json").open("wb") as file:
        for _ in range(64):
            file.write(b"[" * mib)
    command = a_day(vendor, "large.json")
    async with fetching(bus, settings):
        tracemalloc.start()
        try:
            await bus.publish_command(command)
            event = await staged(bus, command.job)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert event.size_bytes == 64 * mib
    assert peak_bytes < 8 * mib
