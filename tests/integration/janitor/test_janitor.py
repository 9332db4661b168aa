"""The janitor's duties on a real nats-server and a real folder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from nats import micro
from nats.micro.request import Request

from gexlake.api import services
from gexlake.api.jobs import Priority, Stage, Status
from gexlake.api.services import ReplayQueued
from services.janitor.adapters.known_jobs_nats import KnownJobs
from services.janitor.adapters.queues_nats import JobQueues
from services.janitor.adapters.replays_nats import IntakeReplays
from services.janitor.duties.requeue_stranded_jobs import RequeueStrandedJobs
from services.janitor.errors import IntakeUnavailable, NotCaughtUp, ReplayRefused
from services.janitor.settings import JanitorSettings
from services.janitor.wiring import pruning, requeueing, serve
from shared.bus import subjects
from shared.bus.connection import Bus, utc_now
from shared.bus.messages import FileStaged, Job, JobReplayed, JobRequested, JobStarted
from shared.bus.reports.presence import is_answering
from shared.process.settings import Settings
from tests.support.poll import eventually
from tests.support.repository import ROOT
from tests.support.values import a_fetch, a_job, a_skip, an_import

HASH = "0" * 64
LATER = timedelta(minutes=11)
"""A job without an event for this long is suspected."""


class Intake:
    """Stands in for intake's replay endpoint: publishes the fetch command again, as a new generation."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[str] = []
        self.refuse_with: tuple[str, str] | None = None

    async def answer(self, request: Request) -> None:
        wanted = json.loads(request.data)["job_id"]
        self.asked.append(wanted)
        if self.refuse_with:
            await request.respond_error(*self.refuse_with)
            return
        job = next(job for job in JOBS_OF_TESTS if str(job.job_id) == wanted)
        again = job.model_copy(update={"generation": job.generation + 1, "requested_at": utc_now()})
        ack = await self.bus.publish_command(a_fetch(again), replay_of="job")
        await self.bus.publish_event(
            JobReplayed(job=again, stage=Stage.FETCH, replay_of="job", command_seq=ack.seq, url_sha256=HASH)
        )
        queued = ReplayQueued(
            id=again.job_id,
            generation=again.generation,
            stage=Stage.FETCH,
            replay_of="job",
            command_seq=ack.seq,
        )
        await request.respond(queued.model_dump_json().encode())


JOBS_OF_TESTS = [a_job(ticker=ticker, requested_at=utc_now()) for ticker in ("NQ_NDX", "SPX", "ES_SPX")]
FIRST, SECOND, THIRD = JOBS_OF_TESTS


@pytest.fixture
def janitor_settings(settings: Settings) -> JanitorSettings:
    return JanitorSettings(nats_url=settings.nats_url, data_dir=settings.data_dir)


@pytest.fixture
async def intake(bus: Bus) -> AsyncIterator[Intake]:
    intake = Intake(bus)
    service = await micro.add_service(bus.client, name="intake", version="1.0.0", description="stand-in")
    await service.add_endpoint(name="replay", subject=services.REPLAY.subject, handler=intake.answer)
    await bus.client.flush()
    yield intake
    await service.stop()


@pytest.fixture
async def known(bus: Bus) -> AsyncIterator[KnownJobs]:
    jobs = KnownJobs(bus)
    following = asyncio.create_task(jobs.follow())
    yield jobs
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
def duty(janitor_settings: JanitorSettings, bus: Bus, known: KnownJobs) -> RequeueStrandedJobs:
    """The duty as it would be at a later time."""
    built = requeueing(janitor_settings, bus, known)
    built._clock = lambda: utc_now() + LATER
    return built


async def request_fetch(bus: Bus, job: Job) -> int:
    ack = await bus.publish_command(a_fetch(job))
    await bus.publish_event(JobRequested(job=job, command_seq=ack.seq, url_sha256=HASH))
    return ack.seq


async def take(bus: Bus, priority: Priority = Priority.MEDIUM) -> Callable[[], Awaitable[object]]:
    """Take a fetch command in hand; the answer acknowledges it."""
    subscription = await bus.js.pull_subscribe_bind(subjects.durable(Stage.FETCH, priority), subjects.JOBS)
    (message,) = await subscription.fetch(1)
    return message.ack_sync


async def test_a_job_whose_command_was_purged_is_requeued_exactly_once(
    bus: Bus, intake: Intake, known: KnownJobs, duty: RequeueStrandedJobs
) -> None:
    await request_fetch(bus, FIRST)
    await bus.js.purge_stream(subjects.JOBS)
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert intake.asked == [str(FIRST.job_id)]
    (state,) = await known.as_of_now()
    assert (state.job.generation, state.status) == (2, Status.PENDING)
    assert (await bus.js.get_msg(subjects.JOBS, seq=state.fetch_command_seq)).data


async def test_an_acknowledged_command_without_an_event_strands_its_job(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    await request_fetch(bus, FIRST)
    await (await take(bus))()
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert intake.asked == [str(FIRST.job_id)]


async def test_a_job_that_waits_in_the_queue_is_not_requeued(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    for job in JOBS_OF_TESTS:
        await request_fetch(bus, job)
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    await take(bus)
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert intake.asked == []


async def test_a_job_that_a_worker_holds_is_not_requeued(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    await request_fetch(bus, FIRST)
    await bus.publish_event(JobStarted(job=FIRST, stage=Stage.FETCH, start=1))
    await take(bus)
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert intake.asked == []


async def test_a_job_that_waits_for_its_next_attempt_is_not_requeued(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    await request_fetch(bus, FIRST)
    subscription = await bus.js.pull_subscribe_bind("fetch_medium", subjects.JOBS)
    (message,) = await subscription.fetch(1)
    await message.nak(delay=3600)
    await bus.client.flush()
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert intake.asked == []


async def test_an_acknowledged_command_after_a_pending_one_is_found_once_that_is_acknowledged(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    for job in (FIRST, SECOND):
        await request_fetch(bus, job)
    acknowledge_first = await take(bus)
    await (await take(bus))()
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    await acknowledge_first()
    await bus.publish_event(a_skip(FIRST))
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert intake.asked == [str(SECOND.job_id)]


async def test_a_deleted_message_that_a_busy_consumer_has_passed_strands_its_job(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    sequence = await request_fetch(bus, FIRST)
    await request_fetch(bus, SECOND)
    await bus.js.delete_msg(subjects.JOBS, sequence)
    await take(bus)
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert intake.asked == [str(FIRST.job_id)]


async def test_a_sequence_that_holds_another_jobs_command_does_not_count(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    other = await bus.publish_command(a_fetch(SECOND))
    await take(bus)
    await bus.publish_event(JobRequested(job=FIRST, command_seq=other.seq, url_sha256=HASH))
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert intake.asked == [str(FIRST.job_id)]


async def test_a_job_with_an_unknown_sequence_is_not_requeued_while_its_consumer_has_work(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    await bus.publish_command(a_fetch(FIRST))
    acknowledge = await take(bus)
    await bus.publish_event(JobStarted(job=FIRST, stage=Stage.FETCH, start=1))
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    await acknowledge()
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert intake.asked == [str(FIRST.job_id)]


async def test_a_staged_job_with_an_import_command_is_not_requeued(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    await request_fetch(bus, FIRST)
    await (await take(bus))()
    command = an_import(FIRST)
    ack = await bus.publish_command(command)
    await bus.publish_event(
        FileStaged(
            job=FIRST, staged_path=command.staged_path, size_bytes=10, sha256=HASH, command_seq=ack.seq
        )
    )
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    await bus.js.delete_msg(subjects.JOBS, ack.seq)
    subscription = await bus.js.pull_subscribe_bind("import_medium", subjects.JOBS)
    await bus.publish_command(an_import(SECOND))
    await subscription.fetch(1)
    assert await duty.run_once() == {"requeued": 1, "refused": 0}
    assert intake.asked == [str(FIRST.job_id)]


async def test_a_finished_job_is_not_requeued(bus: Bus, intake: Intake, duty: RequeueStrandedJobs) -> None:
    await request_fetch(bus, FIRST)
    await bus.publish_event(a_skip(FIRST))
    await bus.js.purge_stream(subjects.JOBS)
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert intake.asked == []


async def test_a_job_whose_command_has_expired_is_replayed_once_a_day(
    bus: Bus, intake: Intake, duty: RequeueStrandedJobs
) -> None:
    await request_fetch(bus, FIRST)
    await bus.js.purge_stream(subjects.JOBS)
    intake.refuse_with = ("404", "the message has expired")
    assert await duty.run_once() == {"requeued": 0, "refused": 1}
    assert await duty.run_once() == {"requeued": 0, "refused": 0}
    assert len(intake.asked) == 1


@pytest.mark.parametrize(
    ("code", "known_to_be_final"), [("404", True), ("422", True), ("503", False), ("", False)]
)
async def test_a_refusal_is_final_or_not_by_its_code(
    bus: Bus, intake: Intake, code: str, known_to_be_final: bool
) -> None:
    intake.refuse_with = (code, "because")
    with pytest.raises(ReplayRefused if known_to_be_final else IntakeUnavailable, match="because"):
        await IntakeReplays(bus).replay(FIRST.job_id)


async def test_a_replay_without_a_running_intake_raises_intake_unavailable(bus: Bus) -> None:
    with pytest.raises(IntakeUnavailable, match="it is not running"):
        await IntakeReplays(bus).replay(FIRST.job_id)


async def test_a_deleted_consumer_is_omitted(bus: Bus) -> None:
    assert len(await JobQueues(bus).consumers()) == 8
    await bus.js.delete_consumer(subjects.JOBS, "fetch_low")
    assert "fetch_low" not in await JobQueues(bus).consumers()


async def test_jobs_are_known_up_to_the_newest_event_and_an_empty_stream_is_no_delay(
    bus: Bus, known: KnownJobs
) -> None:
    assert await known.as_of_now() == ()
    for job in JOBS_OF_TESTS:
        await bus.publish_event(JobRequested(job=job, command_seq=1, url_sha256=HASH))
        assert job in [state.job for state in await known.as_of_now()]
    await bus.js.purge_stream(subjects.EVENTS)
    assert len(await known.as_of_now()) == 3


async def test_events_that_are_not_read_in_time_raise_not_caught_up(bus: Bus) -> None:
    await bus.publish_event(JobRequested(job=FIRST, command_seq=1, url_sha256=HASH))
    with pytest.raises(NotCaughtUp, match="at sequence 0 of 1"):
        await KnownJobs(bus, timeout_s=0.05).as_of_now()


async def test_staged_files_of_finished_jobs_are_pruned_and_no_others(
    janitor_settings: JanitorSettings, bus: Bus, known: KnownJobs
) -> None:
    paths = janitor_settings.paths
    files: dict[str, Path] = {}
    for job in (FIRST, SECOND):
        path = paths.staged(job.ticker, job.endpoint, job.base_url.rpartition("/")[2])
        path.parent.mkdir(parents=True)
        path.write_text("[]")
        set_age(path, timedelta(days=20))
        files[job.ticker] = path
        relative = paths.relative_to_staging(path)
        await bus.publish_event(
            FileStaged(job=job, staged_path=relative, size_bytes=2, sha256=HASH, command_seq=1)
        )
    await bus.publish_event(a_skip(FIRST))
    duty = pruning(janitor_settings, bus, known)
    assert await duty.run_once() == {"removed": 1, "freed_bytes": 2}
    assert [ticker for ticker, path in files.items() if path.exists()] == ["SPX"]
    assert await duty.run_once() == {"removed": 0, "freed_bytes": 0}


def set_age(path: Path, age: timedelta) -> None:
    moment = (datetime.now().astimezone() - age).timestamp()
    os.utime(path, (moment, moment))


@asynccontextmanager
async def serving(settings: JanitorSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def test_the_janitor_requeues_a_stranded_job(
    janitor_settings: JanitorSettings, bus: Bus, intake: Intake
) -> None:
    await request_fetch(bus, FIRST)
    await bus.js.purge_stream(subjects.JOBS)
    impatient = janitor_settings.model_copy(update={"stranded_after_s": 0.3, "requeue_interval_s": 0.1})
    async with serving(impatient):
        await eventually(lambda: intake.asked)
        assert await is_answering(bus.client, "janitor")
    assert intake.asked == [str(FIRST.job_id)]


async def test_the_process_answers_pings_and_ends_quietly_on_sigterm(
    bus: Bus, nats_url: str, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.janitor",
        cwd=ROOT,
        env={**os.environ, "GEXLAKE_NATS_URL": nats_url, "GEXLAKE_DATA_DIR": str(tmp_path)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await eventually(lambda: is_answering(bus.client, "janitor"))
    finally:
        process.send_signal(signal.SIGTERM)
        _, written = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in written.splitlines()] == [
        "service_started",
        "service_stopped",
    ]
