"""How each day of a backfill stands: what is queued, what is left out and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gexlake.api.backfill import Standing
from gexlake.api.jobs import Priority
from services.intake.backfill.plan import (
    Known,
    as_queued,
    no_data,
    no_key_anywhere,
    plan,
    request_of,
    under_way,
    warnings,
    without_key,
)
from services.intake.backfill.request import BackfillRequest
from shared.bus.messages import Event, JobRequested, NoData, job_id_of
from shared.bus.reports.presence import Heartbeat
from shared.bus.requests import Channel
from shared.gexbot.partition import Partition
from shared.gexbot.vendor_api import DEFAULT_BASE, VendorApi
from shared.job_states import JobStates
from tests.support.values import NOON, a_job, a_skip

API = VendorApi(DEFAULT_BASE)
DAY = date(2025, 11, 14)
PARTITION = Partition("NQ_NDX", "gex_zero", DAY)
BASE_URL = "https://api.gex.bot/v2/hist/NQ_NDX/classic/gex_zero/2025-11-14"
JOB_ID = job_id_of("NQ_NDX", "gex_zero", BASE_URL)
A_WEEK_LATER = NOON + timedelta(days=7)


def asking(*days: date, **changes: Any) -> BackfillRequest:
    return BackfillRequest(("NQ_NDX",), ("gex_zero",), days or (DAY,), **changes)


def standing(known: Known, **changes: Any) -> Standing:
    (day,) = plan(asking(**changes), known, API)
    return day.standing


def told(*events: Event) -> JobStates:
    states = JobStates()
    for event in events:
        states.apply(event, NOON)
    return states


def test_a_day_of_which_nothing_is_known_is_planned_with_the_id_of_its_job() -> None:
    (day,) = plan(asking(), Known(), API)
    assert (day.partition, day.standing, day.job_id) == (PARTITION, Standing.PLANNED, JOB_ID)


def test_the_request_for_a_day_is_the_vendor_s_api_and_no_secret() -> None:
    request = request_of(PARTITION, asking(force=True, reason="why", priority=Priority.LOW), API)
    assert (request.job_id, request.base_url) == (JOB_ID, BASE_URL)
    assert API.partition_of(request.url) == PARTITION
    assert (request.trading_day, request.priority, request.force, request.reason) == (DAY, "low", True, "why")
    assert request.origin.channel is Channel.BACKFILL


def test_what_the_lake_holds_is_left_out_even_while_a_job_is_under_way() -> None:
    known = Known(held=frozenset({PARTITION}), under_way={PARTITION: JOB_ID})
    assert standing(known) is Standing.HELD


def test_a_day_that_a_job_brings_in_from_another_url_is_under_way_with_that_job() -> None:
    states = told(JobRequested(job=a_job(), command_seq=1, url_sha256="0" * 64))
    (day,) = plan(asking(), Known(under_way=under_way(states)), API)
    assert (day.standing, day.job_id) == (Standing.UNDER_WAY, a_job().job_id)


def test_a_finished_job_is_not_under_way() -> None:
    assert under_way(told(a_skip())) == {}


def test_a_job_whose_day_is_not_known_yet_is_no_partition_s() -> None:
    unnamed = a_job(trading_day=None)
    assert under_way(told(JobRequested(job=unnamed, command_seq=1, url_sha256="0" * 64))) == {}


def test_jobs_tell_what_the_vendor_had_no_data_for() -> None:
    states = told(NoData(job=a_job(), reason="none"), a_skip(a_job(endpoint="gex_one")))
    assert no_data(states) == {PARTITION: NOON}


@pytest.mark.parametrize(
    ("told_at", "expected"),
    [
        (datetime(2025, 11, 14, 22, 0, tzinfo=UTC), Standing.PLANNED),
        (datetime(2025, 11, 16, 4, 59, tzinfo=UTC), Standing.PLANNED),  # still the 15th in New York
        (datetime(2025, 11, 16, 5, 0, tzinfo=UTC), Standing.NO_DATA),
        (A_WEEK_LATER, Standing.NO_DATA),
    ],
)
def test_that_there_is_no_data_is_believed_two_days_after_the_day(
    told_at: datetime, expected: Standing
) -> None:
    assert standing(Known(no_data={PARTITION: told_at})) is expected


@pytest.mark.parametrize(
    "known",
    [
        Known(held=frozenset({PARTITION})),
        Known(no_data={PARTITION: A_WEEK_LATER}),
        Known(under_way={PARTITION: JOB_ID}),
    ],
)
def test_force_leaves_nothing_out(known: Known) -> None:
    assert standing(known, force=True, reason="why") is Standing.PLANNED


def test_a_job_that_went_on_as_it_was_is_under_way_and_not_queued() -> None:
    (day,) = plan(asking(), Known(), API)
    assert as_queued(day, was_under_way=False).standing is Standing.QUEUED
    assert as_queued(day, was_under_way=True).standing is Standing.UNDER_WAY


def test_days_that_the_vendor_may_not_have_are_warned_of() -> None:
    today = date(2025, 11, 14)
    old, kept = date(2025, 8, 15), date(2025, 8, 18)
    (old_days, unfinished) = warnings(asking(old, kept, today), today)
    assert "1 of 3 trading days are before 2025-08-16: the vendor keeps 90 days" in old_days
    assert unfinished.startswith("2025-11-14 is today")
    assert warnings(asking(kept), today) == []


def heard_from(instance: str, age_s: float = 1, *, has_vendor_key: bool | None) -> Heartbeat:
    at = NOON - timedelta(seconds=age_s)
    return Heartbeat(
        service="fetcher",
        instance=instance,
        version="1",
        started_at=at,
        at=at,
        has_vendor_key=has_vendor_key,
    )


def test_fetchers_without_a_key_are_warned_of_while_they_are_alive() -> None:
    days = plan(asking(), Known(), API)
    beats = (
        heard_from("keyless", has_vendor_key=False),
        heard_from("good", has_vendor_key=True),
        heard_from("older", has_vendor_key=None),
        heard_from("gone", 60, has_vendor_key=False),
    )
    (warning,) = without_key(days, beats, NOON)
    assert "no GEXBOT_API_KEY in the fetcher on keyless: days" in warning
    assert without_key(days, beats[1:], NOON) == []


def test_a_plan_without_jobs_needs_no_key() -> None:
    days = plan(asking(), Known(held=frozenset({PARTITION})), API)
    assert without_key(days, [heard_from("keyless", has_vendor_key=False)], NOON) == []
    assert not no_key_anywhere(days, [heard_from("keyless", has_vendor_key=False)], NOON)


@pytest.mark.parametrize(
    ("keys", "age_s", "is_nowhere"),
    [
        ([False], 1, True),
        ([False, False], 1, True),
        ([False, True], 1, False),
        ([False, None], 1, False),
        ([False], 60, False),
        ([], 1, False),
    ],
)
def test_there_is_no_key_if_every_running_fetcher_says_so(
    keys: list[bool | None], age_s: float, is_nowhere: bool
) -> None:
    beats = [heard_from(str(number), age_s, has_vendor_key=key) for number, key in enumerate(keys)]
    other = heard_from("a", has_vendor_key=None).model_copy(update={"service": "importer"})
    assert no_key_anywhere(plan(asking(), Known(), API), [*beats, other], NOON) is is_nowhere
