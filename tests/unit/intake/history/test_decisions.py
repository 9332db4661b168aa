"""What a repeated request leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gexlake.api.jobs import Priority, Status
from services.intake.history.decisions import (
    AlreadyQueued,
    Decision,
    Queue,
    decide,
    digest_of_command,
    is_same_work,
)
from services.intake.history.posted_file import PostedFile
from services.intake.history.request import HistoryRequest
from shared.bus.messages import Command, FetchFile, JobRequested, digest_of
from shared.job_states import JobState, advance
from tests.support.values import BASE_URL, NOON, a_fetch, a_job, an_import

URL = f"{BASE_URL}?sig=secret"
LATER = NOON + timedelta(minutes=1)


def asking(**changes: Any) -> HistoryRequest:
    job = a_job()
    values = {
        "ticker": job.ticker,
        "endpoint": job.endpoint,
        "trading_day": job.trading_day,
        "base_url": job.base_url,
        "url": URL,
        **changes,
    }
    return HistoryRequest(**values)


def known(status: Status = Status.STARTED, **changes: Any) -> JobState:
    job = a_job(generation=3, priority=Priority.HIGH)
    state = advance(None, JobRequested(job=job, command_seq=9, url_sha256=digest_of(URL)), NOON)
    return replace(state, status=status, **changes)


def queued(decision: Decision) -> FetchFile:
    assert isinstance(decision, Queue)
    return decision.command


def test_an_unknown_job_begins_with_generation_1() -> None:
    command = queued(decide(asking(), None, None, NOON))
    assert (command.job.generation, command.job.priority, command.force) == (1, Priority.MEDIUM, False)
    assert command.url.get_secret_value() == URL
    assert command.job.requested_at == NOON
    assert command.job.job_id == a_job().job_id


@pytest.mark.parametrize("status", [Status.PENDING, Status.STARTED, Status.STAGED])
def test_the_same_request_for_an_unfinished_job_publishes_nothing(status: Status) -> None:
    state = known(status)
    assert decide(asking(), state, a_fetch(state.job), LATER) == AlreadyQueued(state.job)
    same = asking(priority=Priority.HIGH, force=False)
    assert decide(same, state, a_fetch(state.job), LATER) == AlreadyQueued(state.job)


@pytest.mark.parametrize("status", [Status.PENDING, Status.STARTED, Status.STAGED])
@pytest.mark.parametrize("url_sha256", [digest_of(URL), None])
def test_an_unfinished_job_whose_command_is_gone_is_queued_again(
    status: Status, url_sha256: str | None
) -> None:
    command = queued(decide(asking(), known(status, url_sha256=url_sha256), None, LATER))
    assert (command.job.generation, command.job.priority, command.force) == (4, Priority.HIGH, False)


def test_a_job_with_an_unknown_command_differs_from_one_whose_command_is_gone() -> None:
    state = known(fetch_command_seq=0)
    assert decide(asking(), state, None, LATER) == AlreadyQueued(state.job)


def test_another_posted_file_is_a_new_generation_and_the_same_one_is_not() -> None:
    posted = [PostedFile(b"", each * 64, None) for each in "ab"]
    first = queued(decide(asking(posted=posted[0]), None, None, NOON))
    assert first.body_sha256 == posted[0].sha256
    state = advance(
        None, JobRequested(job=first.job, command_seq=9, url_sha256=digest_of_command(first) or ""), NOON
    )
    assert decide(asking(posted=posted[0]), state, first, LATER) == AlreadyQueued(state.job)
    again = queued(decide(asking(posted=posted[1]), state, first, LATER))
    assert (again.job.generation, again.body_sha256) == (2, posted[1].sha256)
    assert queued(decide(asking(), state, first, LATER)).body_sha256 is None
    assert not is_same_work(first, again)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.SKIPPED, Status.FAILED])
def test_a_finished_job_is_done_again_as_the_next_generation(status: Status) -> None:
    command = queued(decide(asking(), known(status), None, LATER))
    assert (command.job.generation, command.job.requested_at) == (4, LATER)
    assert command.job.priority is Priority.MEDIUM


@pytest.mark.parametrize("status", [Status.STARTED, Status.FAILED])
def test_a_request_after_the_clock_was_set_back_is_the_newer_one(status: Status) -> None:
    state = known(status)
    command = queued(decide(asking(url=f"{BASE_URL}?sig=new"), state, None, NOON - timedelta(days=400)))
    assert state.job.is_older_than(command.job)


def test_a_fresh_signature_refreshes_an_unfinished_job_and_keeps_what_was_not_said_again() -> None:
    standing = a_fetch(force=True, reason="vendor fixed it")
    command = queued(decide(asking(url=f"{BASE_URL}?sig=new"), known(), standing, LATER))
    assert (command.job.generation, command.job.priority) == (4, Priority.HIGH)
    assert (command.force, command.reason) == (True, "vendor fixed it")
    assert command.url.get_secret_value().endswith("sig=new")


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({"priority": Priority.CRITICAL}, a_fetch()),
        ({"force": True, "reason": "r"}, a_fetch()),
        ({"force": True, "reason": "r"}, None),
        ({"force": False}, a_fetch(force=True, reason="r")),
    ],
)
def test_another_priority_or_force_refreshes_an_unfinished_job(
    changes: dict[str, Any], standing: Command | None
) -> None:
    command = queued(decide(asking(**changes), known(), standing, LATER))
    assert command.job.generation == 4
    assert command.force is bool(changes.get("force"))


def test_asking_for_force_again_changes_nothing() -> None:
    state = known()
    standing = an_import(state.job, force=True, reason="r")
    assert decide(asking(force=True, reason="r"), state, standing, LATER) == AlreadyQueued(state.job)


def test_a_job_whose_request_was_never_published_keeps_its_generation() -> None:
    state = known(url_sha256=None, fetch_command_seq=0)
    assert queued(decide(asking(), state, None, LATER)).job.generation == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (a_fetch(), a_fetch(a_job(generation=2, requested_at=LATER)), True),
        (a_fetch(), a_fetch(url="https://h/other"), False),
        (a_fetch(), a_fetch(a_job(priority=Priority.LOW)), False),
        (a_fetch(), a_fetch(force=True, reason="r"), False),
        (a_fetch(), an_import(), False),
        (an_import(), an_import(a_job(generation=5)), True),
        (an_import(), an_import(sha256="1" * 64), False),
    ],
)
def test_work_is_the_same_whatever_its_generation_and_time(one: Command, other: Command, same: bool) -> None:
    assert is_same_work(one, other) is same
