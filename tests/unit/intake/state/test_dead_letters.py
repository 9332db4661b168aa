"""When a dead letter is resolved."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gexlake.api.jobs import Stage
from services.intake.state.dead_letters import DeadLetters, StoredLetters
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from shared.bus import subjects
from shared.bus.envelope import Envelope
from shared.bus.follower import Followed
from shared.bus.messages import Event, Job, JobFailed, JobReplayed, JobRequested, NoData
from shared.job_states import KEPT_FOR
from tests.support.values import NOON, a_fetch, a_job

JOB = a_job()
AGAIN = a_job(generation=2)
END = Followed(1, "", None)


def letter(job: Job, sequence: int = 1, at: datetime = NOON) -> Followed:
    command = a_fetch(job)
    return Followed(sequence, subjects.dead(command.subject), Envelope.seal(command, at).encode(), at)


def failed(job: Job) -> JobFailed:
    return JobFailed(job=job, stage=Stage.FETCH, failures=3, final=True, error="no such file")


def replayed(job: Job) -> JobReplayed:
    return JobReplayed(job=job, stage=Stage.FETCH, replay_of="DEAD:1", command_seq=2)


def unresolved(
    *letters: Followed, events: tuple[Event, ...] = (), stored: StoredLetters | None = None
) -> int | None:
    projection = Projection(lambda: NOON, Metrics())
    for event in events:
        projection.apply(event, NOON)
    projection.is_rebuilt = True
    known = DeadLetters(projection, lambda: NOON)
    for message in (*letters, END):
        known.take(message)
    return known.unresolved(stored or StoredLetters(1, 9, 9, frozenset()))


@pytest.mark.parametrize(
    ("events", "count"),
    [
        pytest.param((failed(JOB),), 1, id="failed"),
        pytest.param((), 1, id="its event has not arrived"),
        pytest.param((failed(JOB), replayed(AGAIN)), 0, id="replayed"),
        pytest.param((failed(JOB), replayed(AGAIN), failed(AGAIN)), 0, id="replayed, and failed again"),
        pytest.param(
            (failed(JOB), JobRequested(job=AGAIN, command_seq=2, url_sha256="0" * 64)), 0, id="posted again"
        ),
        pytest.param((NoData(job=JOB, reason="no data"),), 0, id="ended well after all"),
    ],
)
def test_a_letter_is_resolved_by_a_replay_or_a_later_success(events: tuple[Event, ...], count: int) -> None:
    assert unresolved(letter(JOB), events=events) == count


def test_each_failure_of_a_job_has_its_own_letter() -> None:
    events = (failed(JOB), replayed(AGAIN), failed(AGAIN))
    assert unresolved(letter(JOB), letter(AGAIN, 2), events=events) == 1


def test_what_is_no_command_stays_until_it_is_removed_or_old() -> None:
    malformed = Followed(1, subjects.dead("gex.job.fetch.high.SPX"), b"x", NOON)
    old = Followed(2, malformed.subject, b"x", NOON - KEPT_FOR - timedelta(seconds=1))
    assert unresolved(malformed, old) == 1
    assert unresolved(malformed, old, stored=StoredLetters(1, 9, 8, frozenset({1}))) == 0
    assert unresolved(malformed, old, stored=StoredLetters(2, 9, 8, frozenset())) == 0


def test_nothing_is_claimed_before_all_is_read() -> None:
    projection = Projection(lambda: NOON, Metrics())
    known = DeadLetters(projection, lambda: NOON)
    known.take(letter(JOB))
    stored = StoredLetters(1, 1, 1, frozenset())
    assert known.unresolved(stored) is None
    known.take(END)
    assert known.unresolved(stored) is None
    projection.is_rebuilt = True
    assert known.unresolved(stored) == 1
