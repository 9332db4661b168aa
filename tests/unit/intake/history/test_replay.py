"""What to replay, and as what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from gexlake.api.jobs import Stage
from services.intake.errors import Unprocessable
from services.intake.history.replay import (
    DeadLetter,
    KnownJob,
    ReplayOptions,
    StoredCommand,
    next_generation,
    read_replay_options,
    read_replay_request,
    replay_of_request,
)
from shared.bus.messages import JobRequested
from shared.job_states import advance
from tests.support.values import NOON, a_fetch, a_job, an_import

LATER = NOON + timedelta(hours=1)
JOB_ID = uuid4()


@pytest.mark.parametrize(
    ("body", "target", "replay_of"),
    [
        ({"job_id": str(JOB_ID)}, KnownJob(JOB_ID), "job"),
        ({"stream_seq": 7}, StoredCommand(7), "JOBS:7"),
        ({"dead_letter": 2, "force": True, "reason": "r"}, DeadLetter(2), "DEAD:2"),
    ],
)
def test_a_request_names_one_thing(body: dict[str, Any], target: object, replay_of: str) -> None:
    asked = replay_of_request(read_replay_request(body))
    assert (asked.target, asked.target.replay_of) == (target, replay_of)


def test_a_request_has_the_options_of_the_http_route() -> None:
    request = {"stream_seq": 7, "stage": "import", "force": True, "reason": "r"}
    options = replay_of_request(read_replay_request(request)).options
    assert (options.stage, options.force, options.reason) == (Stage.IMPORT, True, "r")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"job_id": str(JOB_ID), "stream_seq": 7}, "body"),
        ({"stream_seq": 0}, "stream_seq"),
        ({"dead_letter": "x"}, "dead_letter"),
        ({"job_id": "nonsense"}, "job_id"),
        ({"job": str(JOB_ID)}, "job"),
        ({"stream_seq": 7, "stage": "export"}, "stage"),
        ({"stream_seq": 7, "force": "yes"}, "force"),
    ],
)
def test_a_bad_request_is_refused_by_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        read_replay_request(body)
    assert caught.value.field == field


def test_over_http_the_body_has_options_alone_and_may_not_name_another_job() -> None:
    assert read_replay_options({}) == ReplayOptions()
    assert read_replay_options({"stage": "import"}).stage is Stage.IMPORT
    with pytest.raises(Unprocessable, match="job_id"):
        read_replay_options({"job_id": str(uuid4())})


def test_a_replay_follows_the_newest_known_generation() -> None:
    job = a_job(generation=4)
    state = advance(None, JobRequested(job=job, command_seq=1, url_sha256="0" * 64), NOON)
    asked = ReplayOptions()
    again = next_generation(a_fetch(a_job(generation=2)), state, asked, LATER)
    assert (again.job.generation, again.job.requested_at) == (5, LATER)
    assert next_generation(an_import(a_job(generation=2)), None, asked, LATER).job.generation == 3


def test_a_replay_after_the_clock_was_set_back_is_the_newer_request() -> None:
    job, earlier = a_job(generation=4), NOON - timedelta(days=400)
    state = advance(None, JobRequested(job=job, command_seq=1, url_sha256="0" * 64), NOON)
    for known in (state, None):
        assert job.is_older_than(next_generation(a_fetch(job), known, ReplayOptions(), earlier).job)


def test_force_is_kept_unless_the_request_says_otherwise() -> None:
    forced = a_fetch(force=True, reason="old")
    kept = next_generation(forced, None, ReplayOptions(), LATER)
    changed = next_generation(forced, None, ReplayOptions(force=True, reason="new"), LATER)
    dropped = next_generation(forced, None, ReplayOptions(force=False), LATER)
    assert [(one.force, one.reason) for one in (kept, changed, dropped)] == [
        (True, "old"),
        (True, "new"),
        (False, None),
    ]


def test_a_reason_is_kept_without_the_signature_of_a_url_in_it() -> None:
    asked = ReplayOptions(force=True, reason="see https://h/a.json?sig=S3CRET today")
    assert next_generation(a_fetch(), None, asked, LATER).reason == "see https://h/a.json?[redacted] today"


def test_force_without_a_reason_is_refused() -> None:
    with pytest.raises(Unprocessable, match="reason"):
        next_generation(a_fetch(), None, ReplayOptions(force=True), LATER)
