"""What intake keeps in memory, and the metrics that it makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client.parser import text_string_to_metric_families

from gexlake.api.jobs import Priority, Stage, Status
from services.intake.errors import NotReady
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from services.intake.state.sources.view import KnownSources
from services.intake.state.status import BrokerState, view_status
from shared.bus import subjects
from shared.bus.envelope import TimedEvent
from shared.bus.follower import FollowedEvent
from shared.bus.messages import Event, FileStaged, JobRequested, JobStarted
from shared.bus.reports.presence import Heartbeat, StreamReport
from shared.bus.reports.progress import Progress
from tests.support.values import NOON, a_job, a_request

SHA = "a" * 64


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def projection(clock: Clock, metrics: Metrics) -> Projection:
    return Projection(clock, metrics)


CAUGHT_UP = FollowedEvent(1, None, caught_up=True)


def backlog(event: Event, at: datetime = NOON) -> FollowedEvent:
    return FollowedEvent(1, TimedEvent(event, at), caught_up=False)


def live(event: Event, at: datetime = NOON) -> FollowedEvent:
    return FollowedEvent(1, TimedEvent(event, at), caught_up=True)


def requested(**changes: object) -> JobRequested:
    return JobRequested(job=a_job(**changes), command_seq=1, url_sha256=SHA)


def staged() -> FileStaged:
    return FileStaged(job=a_job(), staged_path="p", size_bytes=70, sha256=SHA, command_seq=2)


def message(subject: str, data: bytes) -> Msg:
    return Msg(Client(), subject=subject, data=data)


def progress(generation: int = 1, stage: Stage = Stage.FETCH) -> Progress:
    return Progress(job_id=a_job().job_id, generation=generation, stage=stage, done_bytes=5, total_bytes=None)


async def hear(projection: Projection, one: Progress | Heartbeat) -> None:
    data = one.model_dump_json().encode()
    if isinstance(one, Progress):
        await projection._on_progress(message(subjects.progress(one.job_id), data))
    else:
        await projection._on_heartbeat(message(subjects.heartbeat(one.service), data))


def test_jobs_are_refused_until_events_have_been_read_to_their_end(projection: Projection) -> None:
    projection._on_event(backlog(requested()))
    with pytest.raises(NotReady, match="not yet read"):
        projection.require_rebuilt()
    projection._on_event(CAUGHT_UP)
    projection.require_rebuilt()
    assert projection.job(a_job().job_id) is not None


def test_a_request_is_found_after_its_job_has_another_one(projection: Projection) -> None:
    first, second = (a_request(request_id=UUID(int=number)) for number in (1, 2))
    for generation, request in ((1, first), (2, second)):
        event = requested(generation=generation, request_id=request.request_id)
        projection.apply(event.model_copy(update={"request": request}), NOON)
    found = [projection.request(request.request_id) for request in (first, second)]
    assert [state.job.generation for state in found if state] == [1, 2]
    assert len(projection.requests) == 2
    assert projection.request(UUID(int=3)) is None


def test_every_change_of_a_job_is_passed_on_once(clock: Clock) -> None:
    changes: list[tuple[Status | None, Status]] = []
    projection = Projection(
        clock,
        Metrics(),
        [lambda before, after: changes.append((before.status if before else None, after.status))],
    )
    for event in (requested(), requested(), staged()):
        projection.apply(event, NOON)
    assert changes == [(None, "pending"), ("pending", "staged")]


async def test_progress_is_that_of_the_present_generation_and_stage(projection: Projection) -> None:
    state = None
    await hear(projection, progress())
    projection._on_event(backlog(requested()))
    state = projection.job(a_job().job_id)
    assert state is not None
    assert projection.progress(state) is None  # told before the job was known
    await hear(projection, progress(generation=2))
    assert projection.progress(state) is None
    await hear(projection, progress(stage=Stage.IMPORT))
    assert projection.progress(state) is None
    await hear(projection, progress())
    assert projection.progress(state) == progress()


async def test_heartbeats_of_the_last_hour_are_kept_by_service_and_instance(
    projection: Projection, clock: Clock
) -> None:
    for instance, age in (("a", 61), ("b", 1), ("c", 0)):
        at = NOON - timedelta(minutes=age)
        await hear(
            projection, Heartbeat(service="fetcher", instance=instance, version="1", started_at=at, at=at)
        )
    view = view_status(projection, KnownSources(), None, clock.now)
    assert [(beat.instance, beat.age_s) for beat in view.services["fetcher"]] == [("b", 60.0), ("c", 0.0)]
    assert (view.broker.connected, view.queue, view.dead_letters) == (False, None, None)


async def test_what_the_importer_has_to_rebuild_is_shown_once_it_reports_it(
    projection: Projection, metrics: Metrics, clock: Clock
) -> None:
    assert view_status(projection, KnownSources(), None, clock.now).partitions_to_rebuild is None
    beat = Heartbeat(service="importer", instance="a", version="1", started_at=NOON, at=NOON, rebuilding=7)
    await hear(projection, beat)
    assert view_status(projection, KnownSources(), None, clock.now).partitions_to_rebuild == 7
    assert values(metrics.expose(projection, None, clock.now))["gexlake_partitions_to_rebuild[]"] == 7


async def test_what_the_fetcher_reports_of_the_stream_is_measured_while_it_is_alive(
    projection: Projection, metrics: Metrics, clock: Clock
) -> None:
    report = StreamReport(
        is_subscribed=True,
        symbols=3,
        connections=2,
        bars=100,
        rejected=1,
        unknown=4,
        filled=50,
        to_fill=2,
        last_bar_at=NOON - timedelta(seconds=7),
    )
    beat = Heartbeat(service="fetcher", instance="a", version="1", started_at=NOON, at=NOON, stream=report)
    await hear(projection, beat)
    clock.now = NOON
    found = values(metrics.expose(projection, None, clock.now))
    of_stream = {name: value for name, value in found.items() if name.startswith("gexlake_stream_")}
    assert of_stream == {
        "gexlake_stream_subscribed['a']": 1,
        "gexlake_stream_symbols['a']": 3,
        "gexlake_stream_connections['a']": 2,
        "gexlake_stream_bars['a']": 100,
        "gexlake_stream_rejected_bars['a']": 1,
        "gexlake_stream_unknown_events['a']": 4,
        "gexlake_stream_filled_bars['a']": 50,
        "gexlake_stream_symbols_to_fill['a']": 2,
        "gexlake_stream_last_bar_age_seconds['a']": 7,
    }
    clock.now = NOON + timedelta(minutes=1)
    later = values(metrics.expose(projection, None, clock.now))
    assert not [name for name in later if name.startswith("gexlake_stream_")]


def test_jobs_that_events_has_forgotten_are_forgotten_here(projection: Projection, clock: Clock) -> None:
    projection._on_event(backlog(requested()))
    clock.now = NOON + timedelta(days=31)
    projection._on_event(backlog(requested(ticker="SPX"), clock.now))
    assert [state.job.ticker for state in projection.jobs] == ["SPX"]


def values(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_only_what_happens_while_intake_runs_is_counted(
    projection: Projection, metrics: Metrics, clock: Clock
) -> None:
    before = a_job(ticker="SPX")
    projection._on_event(backlog(staged().model_copy(update={"job": before})))
    projection._on_event(CAUGHT_UP)
    projection._on_event(live(requested()))
    projection._on_event(live(JobStarted(job=a_job(), stage=Stage.FETCH, start=1)))
    projection._on_event(live(staged(), NOON + timedelta(seconds=3)))
    queue = {(stage, priority): 0 for stage in Stage for priority in Priority}
    broker_state = BrokerState(
        queue | {(Stage.IMPORT, Priority.MEDIUM): 2},
        dead_letters=1,
        dead_letters_stored=3,
        feed_pending=5,
        chronox_pending=7,
    )
    found = values(metrics.expose(projection, broker_state, clock.now))
    assert found["gexlake_fetched_bytes_total[]"] == 70
    assert found["gexlake_stage_seconds_sum['done', 'fetch']"] == 3
    assert found["gexlake_jobs['staged']"] == 2
    assert found["gexlake_queue_depth['import', 'medium']"] == 2
    assert (found["gexlake_dead_letters[]"], found["gexlake_broker_up[]"]) == (1, 1)
    assert found["gexlake_feed_pending[]"] == 5
    assert found["gexlake_chronox_pending[]"] == 7
    assert view_status(projection, KnownSources(), broker_state, clock.now).feed_pending == 5


def test_without_the_broker_the_queue_is_not_backlog(
    projection: Projection, metrics: Metrics, clock: Clock
) -> None:
    metrics.counted_request("/jobs/{id}", "GET", 404)
    found = values(metrics.expose(projection, None, clock.now))
    assert found["gexlake_broker_up[]"] == 0
    assert not [name for name in found if name.startswith("gexlake_queue_depth")]
    assert found["gexlake_http_requests_total['/jobs/{id}', '404', 'GET']"] == 1
