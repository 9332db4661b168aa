"""What a repeated request leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from gexlake.api.jobs import Priority, Status, deadline_after
from services.intake.history.decisions import (
    AlreadyQueued,
    Decision,
    Queue,
    decide,
    digest_of_command,
    is_same_work,
    joins,
    priority_of,
)
from services.intake.history.posted_file import PostedFile
from services.intake.history.request import HistoryRequest
from services.intake.priorities.overrides import overridden
from shared.bus.messages import Command, FetchFile, JobRequested, digest_of
from shared.bus.requests import Override, PriorityRequest
from shared.job_states import JobState, advance
from tests.support.values import BASE_URL, NOON, a_fetch, a_job, a_request, an_import

URL = f"{BASE_URL}?sig=secret"
LATER = NOON + timedelta(minutes=1)
KNOWN = a_request()


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


def requesting(asked: HistoryRequest, at: datetime, **changes: Any) -> PriorityRequest:
    """Return the request as the rules decide it, or with the priority that the client named."""
    values = {"request_id": uuid4(), "priority_score": 0.5, "priority_level": Priority.MEDIUM, **changes}
    request = a_request(submitted_at=at, deadline=at + timedelta(minutes=30), decided_by=(), **values)
    if asked.priority is None:
        return request
    return overridden(request, Override(priority_level=asked.priority, priority_score=0.95, at=at))


def decided(
    asked: HistoryRequest,
    state: JobState | None,
    standing: Command | None,
    at: datetime = LATER,
    **changes: Any,
) -> Decision:
    return decide(asked, requesting(asked, at, **changes), state, standing)


def known(
    status: Status = Status.STARTED, request: PriorityRequest | None = KNOWN, **changes: Any
) -> JobState:
    job = a_job(generation=3, priority=Priority.HIGH)
    job = job.model_copy(update=priority_of(request)) if request else job
    event = JobRequested(job=job, command_seq=9, url_sha256=digest_of(URL), request=request)
    return replace(advance(None, event, NOON), status=status, **changes)


def queued(decision: Decision) -> FetchFile:
    assert isinstance(decision, Queue)
    return decision.command


def test_an_unknown_job_begins_with_generation_1() -> None:
    command = queued(decided(asking(), None, None, NOON))
    assert (command.job.generation, command.job.priority, command.force) == (1, Priority.MEDIUM, False)
    assert command.url.get_secret_value() == URL
    assert command.job.requested_at == NOON
    assert command.job.job_id == a_job().job_id
    assert command.request is not None
    assert command.job.request_id == command.request.request_id
    assert (command.job.priority_score, command.job.deadline) == (0.5, NOON + timedelta(minutes=30))


@pytest.mark.parametrize("status", [Status.PENDING, Status.STARTED, Status.STAGED])
def test_the_same_request_for_an_unfinished_job_publishes_nothing(status: Status) -> None:
    state = known(status)
    assert decided(asking(), state, a_fetch(state.job)) == AlreadyQueued(state.job, KNOWN)
    same = asking(priority=Priority.HIGH, force=False)
    assert decided(same, state, a_fetch(state.job)) == AlreadyQueued(state.job, KNOWN)


@pytest.mark.parametrize("status", [Status.PENDING, Status.STARTED, Status.STAGED])
@pytest.mark.parametrize("url_sha256", [digest_of(URL), None])
def test_an_unfinished_job_whose_command_is_gone_is_queued_again(
    status: Status, url_sha256: str | None
) -> None:
    command = queued(decided(asking(), known(status, url_sha256=url_sha256), None))
    assert (command.job.generation, command.job.priority, command.force) == (4, Priority.HIGH, False)


def test_a_job_with_an_unknown_command_differs_from_one_whose_command_is_gone() -> None:
    state = known(fetch_command_seq=0)
    assert decided(asking(), state, None) == AlreadyQueued(state.job, KNOWN)


def test_another_posted_file_is_a_new_generation_and_the_same_one_is_not() -> None:
    posted = [PostedFile(b"", each * 64, None) for each in "ab"]
    first = queued(decided(asking(posted=posted[0]), None, None, NOON))
    assert first.body_sha256 == posted[0].sha256
    digest = digest_of_command(first) or ""
    event = JobRequested(job=first.job, command_seq=9, url_sha256=digest, request=first.request)
    state = advance(None, event, NOON)
    assert isinstance(decided(asking(posted=posted[0]), state, first), AlreadyQueued)
    again = queued(decided(asking(posted=posted[1]), state, first))
    assert (again.job.generation, again.body_sha256) == (2, posted[1].sha256)
    assert queued(decided(asking(), state, first)).body_sha256 is None
    assert not is_same_work(first, again)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.SKIPPED, Status.FAILED])
def test_a_finished_job_is_done_again_as_the_next_generation(status: Status) -> None:
    command = queued(decided(asking(), known(status), None))
    assert (command.job.generation, command.job.requested_at) == (4, LATER)
    assert command.job.priority is Priority.MEDIUM


@pytest.mark.parametrize("status", [Status.STARTED, Status.FAILED])
def test_a_request_after_the_clock_was_set_back_is_the_newer_one(status: Status) -> None:
    state = known(status)
    command = queued(decided(asking(url=f"{BASE_URL}?sig=new"), state, None, NOON - timedelta(days=400)))
    assert state.job.is_older_than(command.job)


def test_a_fresh_signature_refreshes_an_unfinished_job_and_keeps_what_was_not_said_again() -> None:
    standing = a_fetch(force=True, reason="vendor fixed it")
    command = queued(decided(asking(url=f"{BASE_URL}?sig=new"), known(), standing))
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
    command = queued(decided(asking(**changes), known(), standing))
    assert command.job.generation == 4
    assert command.force is bool(changes.get("force"))


def test_asking_for_force_again_changes_nothing() -> None:
    state = known()
    standing = an_import(state.job, force=True, reason="r")
    assert decided(asking(force=True, reason="r"), state, standing) == AlreadyQueued(state.job, KNOWN)


@pytest.mark.parametrize(
    ("changes", "named", "level"),
    [
        ({}, None, Priority.HIGH),
        ({"priority_level": Priority.LOW, "priority_score": 0.2}, None, Priority.HIGH),
        ({"priority_level": Priority.CRITICAL, "priority_score": 0.9}, None, Priority.CRITICAL),
        ({}, Priority.LOW, Priority.LOW),
        ({"priority_level": Priority.CRITICAL}, Priority.HIGH, Priority.HIGH),
    ],
)
def test_asking_again_joins_the_request_and_the_rules_only_raise_it(
    changes: dict[str, Any], named: Priority | None, level: Priority
) -> None:
    state = known()
    decision = decided(asking(priority=named), state, a_fetch(state.job), **changes)
    if level is Priority.HIGH:
        assert decision == AlreadyQueued(state.job, KNOWN)
        return
    command = queued(decision)
    assert (command.job.generation, command.job.priority) == (4, level)
    assert command.job.request_id == KNOWN.request_id
    assert command.job.deadline == deadline_after(level, LATER)


def test_the_rules_do_not_raise_what_a_client_has_chosen() -> None:
    choice = Override(priority_level=Priority.LOW, priority_score=0.1, at=NOON)
    chosen = overridden(KNOWN, choice)
    state = known(request=chosen)
    urgent: dict[str, Any] = {"priority_level": Priority.CRITICAL, "priority_score": 0.9}
    assert decided(asking(), state, a_fetch(state.job), **urgent) == AlreadyQueued(state.job, chosen)


def test_a_job_of_an_older_version_gets_a_request_and_keeps_its_priority() -> None:
    command = queued(decided(asking(), known(request=None), a_fetch()))
    assert (command.job.generation, command.job.priority) == (4, Priority.HIGH)
    assert command.request is not None
    assert command.request.overrides[-1].priority_level is Priority.HIGH


def test_a_command_that_stands_already_keeps_its_request() -> None:
    first = queued(decided(asking(), None, None, NOON))
    again = queued(decided(asking(), None, None))
    joined = joins(again, first)
    assert joined.job.request_id == first.job.request_id
    assert is_same_work(first, joined)


def test_a_job_whose_request_was_never_published_keeps_its_generation() -> None:
    state = known(url_sha256=None, fetch_command_seq=0)
    assert queued(decided(asking(), state, None)).job.generation == 3


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
