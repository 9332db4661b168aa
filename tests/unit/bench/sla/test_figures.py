"""What a flood shows: turns of LOW work, estimates, throughput."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bench.sla.answers import Accepted
from bench.sla.figures import Ended, ended, fewest_low_turns, jobs_per_s
from bench.sla.workload import numbered, urgent_requests
from gexlake.api.jobs import JobView, Priority, Stage, Status
from tests.support.gexlake.responses import job_of

CRITICAL, HIGH, MEDIUM, LOW = Priority
BEGAN = datetime(2025, 11, 14, 15, tzinfo=UTC)


def job(priority: Priority, started_s: float, ended_s: float, requested_s: float = 0) -> JobView:
    """Return a job that was staged half a second after it was started."""
    steps = {
        Status.PENDING: requested_s,
        Status.STARTED: started_s,
        Status.STAGED: started_s + 0.5,
        Status.COMPLETED: ended_s,
    }
    transitions = [{"state": state, "at": at(second)} for state, second in steps.items()]
    return JobView.model_validate(
        job_of(id=uuid4(), priority=priority, transitions=transitions, requested_at=at(requested_s))
    )


def at(second: float) -> datetime:
    return BEGAN + timedelta(seconds=second)


@pytest.mark.parametrize(("others", "fetches", "imports"), [(9, 1, 1), (10, 1, 0), (13, 0, 0), (4, 2, 2)])
def test_low_work_is_counted_in_any_turns_in_a_row(others: int, fetches: int, imports: int) -> None:
    turns = ([HIGH] * others + [LOW]) * 4
    jobs = [job(priority, second, 100 + second) for second, priority in enumerate(turns)]
    assert fewest_low_turns(jobs, Stage.FETCH) == fetches
    assert fewest_low_turns(jobs, Stage.IMPORT) == imports


def test_turns_count_only_while_low_work_waits() -> None:
    before = [job(HIGH, second, second + 1) for second in range(15)]
    jobs = [*before, *(job(LOW, 20 + second, 21 + second, requested_s=19) for second in range(13))]
    assert fewest_low_turns(jobs, Stage.FETCH) == 13
    assert fewest_low_turns(before, Stage.FETCH) is None


def test_the_slot_kept_for_critical_work_takes_no_turn_of_low_work_in_the_fetch_stage() -> None:
    jobs = [job(CRITICAL, second, 100 + second) for second in range(12)]
    jobs += [job(LOW, 20 + second, 120 + second) for second in range(13)]
    assert [fewest_low_turns(jobs, stage) for stage in Stage] == [13, 0]


def test_a_request_waits_until_its_rows_are_in_the_lake() -> None:
    view = job(HIGH, 4, 10, requested_s=2)
    (found,) = ended([Accepted(numbered(0, HIGH), view.id, 6.0)], [view])
    assert found == Ended(HIGH, 8.0, 6.0)
    assert found.error == pytest.approx(0.25)
    assert jobs_per_s(BEGAN, [Accepted(numbered(0, HIGH), view.id, 6.0)], [view]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("found", "missed", "foretold"),
    [
        (Ended(CRITICAL, 31, 32), True, True),
        (Ended(CRITICAL, 31, 29), True, False),
        (Ended(HIGH, 31, 29), False, False),
        (Ended(LOW, 10_000, 1), False, False),
    ],
)
def test_a_missed_deadline_is_foretold_by_an_estimate_after_it(
    found: Ended, *, missed: bool, foretold: bool
) -> None:
    assert (found.is_missed, found.was_foretold) == (missed, foretold)


def test_every_request_is_for_a_file_of_its_own_and_comes_in_order() -> None:
    requests = urgent_requests(100, minutes=10)
    assert len({requested.name for requested in requests}) == len(requests) > 300
    moments = [requested.at_s for requested in requests]
    assert moments == sorted(moments)
    assert max(moments) <= 600
