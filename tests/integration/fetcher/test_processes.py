"""Fetchers as processes: side by side on one folder, killed at every durable step, and what they let out."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure.process_usage import peak_bytes
from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import decode
from shared.bus.messages import FetchFile, FileStaged, ImportFile, Job, JobFailed
from shared.paths import LakePaths, is_partial, partial_path
from shared.process.settings import Settings
from simulator.vendor import Fault, Vendor
from tests.support.fetcher.processes import Fetchers
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.values import a_fetch, a_job

CONTENT = b"[" + b'{"timestamp": 1763130600},' * 100_000 + b"{}]"
SECRET = "secret-signature"
FAILPOINTS = (
    "fetcher.started",
    "fetcher.downloading",
    "fetcher.file_synced",
    "fetcher.file_staged",
    "fetcher.command_published",
    "fetcher.event_published",
)


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path / "vendor"
    folder.mkdir()
    with Vendor(folder) as vendor:
        yield vendor


@pytest.fixture
def fetchers(nats_url: str, vendor: Vendor, tmp_path: Path) -> Iterator[Fetchers]:
    environment = {
        **os.environ,
        "GEXLAKE_NATS_URL": nats_url,
        "GEXLAKE_DATA_DIR": str(tmp_path / "data"),
        "GEXLAKE_ALLOWED_SOURCES": vendor.base_url,
        "GEXLAKE_RETRY_DELAY_S": "0.05",
        "PYTHONPATH": str(ROOT),
    }
    fetchers = Fetchers(environment, tmp_path / "fetchers.log")
    yield fetchers
    fetchers.kill()


@pytest.fixture
def paths(settings: Settings) -> LakePaths:
    return settings.paths


def a_file(vendor: Vendor, name: str) -> FetchFile:
    (vendor.folder / name).write_bytes(CONTENT)
    job = a_job(base_url=vendor.url_of(name, query=""))
    return a_fetch(job, url=vendor.url_of(name, query=f"sig={SECRET}"))


async def staged(bus: Bus, job: Job) -> FileStaged:
    async def announced() -> FileStaged | None:
        return await bus.last_event(FileStaged, job.job_id)

    return await eventually(announced, what=f"{job.base_url} is staged")


async def messages(bus: Bus, stream: str) -> list[tuple[str, bytes, dict[str, str]]]:
    state = (await bus.js.stream_info(stream)).state
    found = []
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await bus.js.get_msg(stream, seq=sequence)
        found.append((message.subject or "", message.data or b"", dict(message.headers or {})))
    return found


async def imports(bus: Bus) -> list[ImportFile]:
    payloads = [
        decode(subject, data).open(subject) for subject, data, _ in await messages(bus, subjects.JOBS)
    ]
    return [payload for payload in payloads if isinstance(payload, ImportFile)]


async def all_acknowledged(bus: Bus) -> bool:
    info = await bus.js.consumer_info(subjects.JOBS, subjects.durable(Stage.FETCH, a_job().priority))
    return not info.num_ack_pending and not info.num_pending


def left_over(paths: LakePaths) -> list[Path]:
    return [path for path in paths.staging_root.rglob("*") if is_partial(path)]


@pytest.mark.slow
async def test_two_fetchers_side_by_side_do_each_job_once(
    bus: Bus, fetchers: Fetchers, vendor: Vendor, paths: LakePaths
) -> None:
    commands = [a_file(vendor, f"{index}.json") for index in range(10)]
    for index in range(10):
        vendor.inject_fault(f"{index}.json", Fault(hold_after_bytes=10))
    for command in commands:
        await bus.publish_command(command)
    fetchers.start()
    fetchers.start()
    await eventually(lambda: vendor.requests.peak == 6, what="three ordinary slots of both are busy")
    vendor.release()
    for command in commands:
        event = await staged(bus, command.job)
        assert paths.staged_from_relative(event.staged_path).read_bytes() == CONTENT
    await eventually(lambda: all_acknowledged(bus))
    assert [vendor.requests.count(f"{index}.json") for index in range(10)] == [1] * 10
    assert sorted(importing.job.base_url for importing in await imports(bus)) == sorted(
        command.job.base_url for command in commands
    )
    assert fetchers.stop() == [0, 0]
    assert left_over(paths) == []


@pytest.mark.slow
async def test_a_fetcher_killed_at_every_step_loses_nothing_and_does_nothing_twice(
    bus: Bus, fetchers: Fetchers, vendor: Vendor, paths: LakePaths
) -> None:
    commands = [a_file(vendor, f"{index}.json") for index, _ in enumerate(FAILPOINTS)]
    for command, failpoint in zip(commands, FAILPOINTS, strict=True):
        await bus.publish_command(command)
        assert await asyncio.to_thread(fetchers.start(failpoint).wait, 20) == -signal.SIGKILL
    fetchers.start()
    for command in commands:
        event = await staged(bus, command.job)
        assert event.sha256 == hashlib.sha256(CONTENT).hexdigest()
    await eventually(lambda: all_acknowledged(bus))
    asked_for = await imports(bus)
    assert len(asked_for) == len(commands)
    for importing in asked_for:
        found = paths.staged_from_relative(importing.staged_path).stat()
        assert (found.st_size, found.st_mtime_ns) == (importing.size_bytes, importing.modified_ns)
    assert fetchers.stop() == [0]
    assert left_over(paths) == []
    assert (await bus.js.stream_info(subjects.DEAD)).state.messages == 0


@pytest.mark.slow
async def test_a_fetcher_killed_half_way_loses_no_more_than_the_last_second(
    bus: Bus, fetchers: Fetchers, vendor: Vendor, paths: LakePaths
) -> None:
    bytes_per_s = 1_000_000
    command = a_file(vendor, "slow.json")
    vendor.inject_fault("slow.json", Fault(bytes_per_s=bytes_per_s))
    await bus.publish_command(command)
    process = fetchers.start()
    await eventually(lambda: vendor.requests.sent_bytes > 1_500_000)
    process.kill()
    sent_bytes = vendor.requests.sent_bytes
    process.wait(20)
    fetchers.start()
    event = await staged(bus, command.job)
    assert event.sha256 == hashlib.sha256(CONTENT).hexdigest()
    first, rest = vendor.requests.seen
    assert "range" not in first.headers
    assert int(rest.headers["range"].strip("bytes=-")) > sent_bytes - bytes_per_s
    assert left_over(paths) == []


@pytest.mark.slow
async def test_a_bomb_of_10_gb_ends_terminal_and_takes_little(
    bus: Bus, fetchers: Fetchers, vendor: Vendor, paths: LakePaths
) -> None:
    zeros = gzip.compress(bytes(200_000_000))
    (vendor.folder / "bomb.json.gz").write_bytes(zeros * 50)
    assert len(zeros) * 50 < 12_000_000
    job = a_job(base_url=vendor.url_of("bomb.json.gz", query=""))
    await bus.publish_command(a_fetch(job, url=vendor.url_of("bomb.json.gz")))
    process = fetchers.start()

    async def failed() -> JobFailed | None:
        return await bus.last_event(JobFailed, job.job_id)

    fact = await eventually(failed, within_s=60)
    assert fact.final
    assert "inflates to at least" in fact.error
    assert peak_bytes(process.pid) < 100_000_000
    assert not [path for path in paths.staging_root.rglob("*") if path.is_file()]


async def test_a_start_sweeps_what_a_killed_fetcher_left_and_spares_a_live_one(
    bus: Bus, fetchers: Fetchers, vendor: Vendor, paths: LakePaths
) -> None:
    command = a_file(vendor, "live.json")
    vendor.inject_fault("live.json", Fault(hold_after_bytes=2 * 1024 * 1024))
    await bus.publish_command(command)
    fetchers.start()
    (live,) = await eventually(lambda: left_over(paths))
    dead = partial_path(paths.staged("SPX", "gex_one", "dead.json"), "0-1-0")
    dead.parent.mkdir(parents=True)
    dead.write_bytes(b"[")
    fetchers.start()
    await eventually(lambda: not dead.exists())
    assert left_over(paths) == [live]
    vendor.release()
    assert (await staged(bus, command.job)).size_bytes == len(CONTENT)
    assert vendor.requests.count("live.json") == 1


async def test_no_signed_query_is_let_out(bus: Bus, fetchers: Fetchers, vendor: Vendor) -> None:
    """Commands and dead letters carry the URL, or nobody could replay them; nothing else does."""
    good, refused, cut, moved = (
        a_file(vendor, name) for name in ("good.json", "refused.json", "cut.json", "moved.json")
    )
    vendor.inject_fault("refused.json", Fault(status=403))
    vendor.inject_fault("cut.json", Fault(cut_after_bytes=10))
    vendor.inject_fault("moved.json", Fault(redirect_to=f"https://elsewhere.test/?sig={SECRET}"))
    for command in (good, refused, cut, moved):
        await bus.publish_command(command)
    fetchers.start()
    await staged(bus, good.job)

    async def permanent_failure() -> bool:
        failed = [await bus.last_event(JobFailed, command.job.job_id) for command in (refused, cut, moved)]
        return all(fact is not None and fact.final for fact in failed)

    await eventually(permanent_failure)
    fetchers.stop()
    events = await messages(bus, subjects.EVENTS)
    assert not [subject for subject, data, headers in events if SECRET in f"{data!r}{headers}"]
    letters = await messages(bus, subjects.DEAD)
    assert len(letters) == 3
    assert not [subject for subject, _, headers in letters if SECRET in str(headers)]
    output = fetchers.output()
    assert "file_staged" in output
    assert output.count("job_failed") == 3
    assert SECRET not in output


async def test_an_unusable_setting_or_folder_stops_the_start_with_one_line(
    fetchers: Fetchers, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "source").write_text("not a folder")
    assert fetchers.start().wait(timeout=20) == 1
    fetchers.environment["GEXLAKE_ALLOWED_SOURCES"] = "http://hist.gex.bot/"
    assert fetchers.start().wait(timeout=20) == 1
    lines = [line for line in fetchers.output().splitlines() if line.startswith("gexlake: ")]
    assert "the staging folder" in lines[0]
    assert "GEXLAKE_ALLOWED_SOURCES" in lines[1]
    assert "Traceback" not in fetchers.output()
