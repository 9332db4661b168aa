"""How long stages took, of what events tell."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gexlake.api.jobs import Stage
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from shared.bus.messages import Event, FileStaged, Job, JobStarted, NoData, RowsPublished
from tests.support.values import NOON, a_job

ONE, OTHER = a_job(ticker="SPX"), a_job(ticker="NDX")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def started(job: Job, stage: Stage = Stage.FETCH) -> JobStarted:
    return JobStarted(job=job, stage=stage, start=1)


def staged(job: Job) -> FileStaged:
    return FileStaged(job=job, staged_path="p", size_bytes=70, sha256="a" * 64, command_seq=2)


def see(metrics: Metrics, *told: tuple[Event, datetime]) -> None:
    for event, at in told:
        metrics.saw(event, at, live=True)


def fetches(metrics: Metrics, outcome: str = "done") -> tuple[float, float]:
    """Return how many fetches with an outcome were timed, and their seconds together."""
    text = metrics.expose(Projection(lambda: NOON, metrics), None, NOON).decode()
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels == {"stage": "fetch", "outcome": outcome}
    }
    return found.get("gexlake_stage_seconds_count", 0), found.get("gexlake_stage_seconds_sum", 0)


def test_a_stage_is_timed_from_its_last_start_even_when_the_next_one_began_first(metrics: Metrics) -> None:
    see(
        metrics,
        (started(ONE), NOON),
        (started(ONE), NOON + timedelta(seconds=10)),
        (started(ONE, Stage.IMPORT), NOON + timedelta(seconds=12)),
        (staged(ONE), NOON + timedelta(seconds=13)),
    )
    assert fetches(metrics) == (1, 3)


def test_a_fetch_that_finds_no_data_is_timed_by_itself(metrics: Metrics) -> None:
    see(metrics, (started(ONE), NOON), (NoData(job=ONE, reason="none"), NOON + timedelta(seconds=2)))
    assert (fetches(metrics, "no_data"), fetches(metrics)) == ((1, 2), (0, 0))


def test_a_stage_that_does_not_end_within_30_days_is_forgotten(metrics: Metrics) -> None:
    see(
        metrics,
        (started(ONE), NOON),
        (started(OTHER), NOON + timedelta(days=30, seconds=1)),
        (staged(ONE), NOON + timedelta(days=30, seconds=2)),
    )
    assert fetches(metrics) == (0, 0)
    see(metrics, (staged(OTHER), NOON + timedelta(days=30, seconds=6)))
    assert fetches(metrics) == (1, 5)


def test_a_stage_that_is_started_again_is_as_young_as_its_last_start(metrics: Metrics) -> None:
    later = NOON + timedelta(days=29)
    see(
        metrics,
        (started(ONE), NOON),
        (started(OTHER), NOON + timedelta(seconds=1)),
        (started(ONE), later),
        (started(OTHER, Stage.IMPORT), NOON + timedelta(days=31)),
        (staged(ONE), NOON + timedelta(days=31)),
    )
    assert fetches(metrics) == (1, timedelta(days=2).total_seconds())


def test_rows_are_counted_by_table_and_not_by_symbol(metrics: Metrics) -> None:
    for ticker, bars in (("AAPL", 8190), ("THIN", 40)):
        job = a_job(ticker=ticker, endpoint="ohlcv_1m")
        metrics.saw(RowsPublished(job=job, counts={"bars": bars}), NOON, live=True)
    metrics.saw(RowsPublished(job=job, counts={"bars": 9}), NOON, live=False)
    text = metrics.expose(Projection(lambda: NOON, metrics), None, NOON).decode()
    assert 'gexlake_imported_rows_total{table="ohlcv_1m"} 8230.0' in text
    assert 'gexlake_job_rows_bucket{le="100.0",table="ohlcv_1m"} 1.0' in text
    assert 'gexlake_job_rows_count{table="ohlcv_1m"} 2.0' in text
