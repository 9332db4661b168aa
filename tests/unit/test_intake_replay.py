"""What to replay, and as what."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.intake.errors import BadRequest, Unprocessable
from services.intake.replay import ReplayRequest, next_generation, read_replay_options, read_replay_request
from shared.job_states import advance
from shared.messages import JobRequested
from shared.subjects import Stage
from tests.support.values import NOON, a_fetch, a_job, an_import

LATER = NOON + timedelta(hours=1)
JOB_ID = uuid4()


@pytest.mark.parametrize(
    ("body", "replay_of"),
    [
        ({"job_id": str(JOB_ID)}, "job"),
        ({"stream_seq": 7}, "JOBS:7"),
        ({"dead_letter": 2, "force": True, "reason": "r"}, "DEAD:2"),
    ],
)
def test_a_request_names_one_thing(body: dict[str, Any], replay_of: str) -> None:
    assert read_replay_request(json.dumps(body).encode()).replay_of == replay_of


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
        read_replay_request(json.dumps(body).encode())
    assert caught.value.field == field


def test_a_request_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest):
        read_replay_request(b"17")


def test_over_http_the_body_is_optional_and_may_not_name_another_job() -> None:
    assert read_replay_options(b" ", JOB_ID) == ReplayRequest(job_id=JOB_ID)
    assert read_replay_options(b'{"stage": "import"}', JOB_ID).stage is Stage.IMPORT
    with pytest.raises(Unprocessable, match="job_id"):
        read_replay_options(json.dumps({"job_id": str(uuid4())}).encode(), JOB_ID)


def test_a_replay_follows_the_newest_known_generation() -> None:
    job = a_job(generation=4)
    state = advance(None, JobRequested(job=job, command_seq=1, url_sha256="0" * 64), NOON)
    asked = ReplayRequest(stream_seq=1)
    again = next_generation(a_fetch(a_job(generation=2)), state, asked, LATER)
    assert (again.job.generation, again.job.requested_at) == (5, LATER)
    assert next_generation(an_import(a_job(generation=2)), None, asked, LATER).job.generation == 3


def test_force_is_kept_unless_the_request_says_otherwise() -> None:
    forced = a_fetch(force=True, reason="old")
    kept = next_generation(forced, None, ReplayRequest(stream_seq=1), LATER)
    changed = next_generation(forced, None, ReplayRequest(stream_seq=1, force=True, reason="new"), LATER)
    dropped = next_generation(forced, None, ReplayRequest(stream_seq=1, force=False), LATER)
    assert [(one.force, one.reason) for one in (kept, changed, dropped)] == [
        (True, "old"),
        (True, "new"),
        (False, None),
    ]


def test_force_without_a_reason_is_refused() -> None:
    with pytest.raises(Unprocessable, match="reason"):
        next_generation(a_fetch(), None, ReplayRequest(stream_seq=1, force=True), LATER)
