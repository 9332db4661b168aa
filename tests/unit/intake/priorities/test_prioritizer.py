"""The priority of a request: as the rules decide, as a client chooses, and how it changes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import PriorityRule
from services.intake.errors import NotReady
from services.intake.priorities.facts import Demand, Origin
from services.intake.priorities.overrides import as_of, joined, overridden
from services.intake.priorities.prioritizer import Choice, Prioritizer
from services.intake.priorities.rules import KnownRules
from services.intake.priorities.scoring import Thresholds
from services.intake.queue.estimates import Estimates
from services.intake.queue.work_queue import WorkQueue
from services.intake.state.sources.view import KnownSources
from shared.bus.requests import Channel, Override
from shared.job_states import JobStates
from shared.rule_revisions import RuleRevision
from tests.support.intake.events import numbered, requested
from tests.support.values import BASE_URL, NOON, a_job, a_request

DAY = date(2025, 11, 14)


def a_demand(priority: Priority | None = None, **origin: Any) -> Demand:
    return Demand(BASE_URL, "NQ_NDX", "gex_zero", DAY, priority, Origin(**origin))


def a_prioritizer(
    condition: str = "True", score: float = 0.5, *, is_read: bool = True, queue: WorkQueue | None = None
) -> Prioritizer:
    rules, queue, sources = KnownRules(), queue or WorkQueue(), KnownSources()
    rule = PriorityRule(
        rule_id=a_request().request_id,
        name="Desk",
        condition=condition,
        priority_score=score,
        created_at=NOON,
        updated_at=NOON,
    )
    rules.put(RuleRevision(1, rule.rule_id, rule))
    rules.is_read = is_read
    estimates = Estimates(queue, sources, lambda: NOON)
    return Prioritizer(rules, Thresholds(), sources, queue, estimates, lambda: NOON)


def test_the_rules_decide_level_and_deadline() -> None:
    request = a_prioritizer("channel == 'backfill' and day_age == 0", 0.8).request_of(
        a_demand(channel=Channel.BACKFILL, metadata={"desk": "vol"})
    )
    assert (request.priority_score, request.priority_level, request.decided_by) == (0.8, "high", ("Desk",))
    assert (request.submitted_at, request.deadline) == (NOON, NOON + timedelta(minutes=5))
    assert (request.market_symbol, request.metadata, request.overrides) == ("NDX", {"desk": "vol"}, ())


@pytest.mark.parametrize(
    ("named", "score"),
    [
        (Priority.CRITICAL, 0.9),
        (Priority.HIGH, 0.7),
        (Priority.MEDIUM, 0.5),
        (Priority.LOW, 0.0),
    ],
)
def test_a_named_level_has_the_nearest_score_that_the_rules_give(named: Priority, score: float) -> None:
    prioritizer = a_prioritizer()
    request = prioritizer.request_of(a_demand(named, reason="desk waits", client="key:12345678"))
    assert (request.priority_level, request.priority_score, request.decided_by) == (named, score, ("Desk",))
    assert request.overrides == (
        Override(priority_level=named, priority_score=score, reason="desk waits", by="key:12345678", at=NOON),
    )
    assert request.deadline == prioritizer.request_of(a_demand(named)).deadline


def test_a_chosen_score_has_its_level() -> None:
    changed = a_prioritizer().overridden(a_request(), Choice(0.4, "why", None), NOON)
    assert (changed.priority_level, changed.priority_score) == (Priority.MEDIUM, 0.4)


def test_no_request_is_scored_before_the_rules_are_read() -> None:
    with pytest.raises(NotReady):
        a_prioritizer(is_read=False).request_of(a_demand())


def test_a_queued_low_job_has_only_earlier_ones_ahead() -> None:
    queue, states = WorkQueue(), JobStates()
    for number in range(100):
        event = requested(numbered(number, Priority.LOW, number))
        queue.changed(None, states.apply(event, event.job.requested_at))
    prioritizer = a_prioritizer(queue=queue)
    low = a_request(priority_level=Priority.LOW, deadline=None)
    waiting = sorted(states, key=lambda state: state.job.requested_at)
    places = [prioritizer.estimated(low, "NQ_NDX", "gex_zero", state.job).queue_position for state in waiting]
    assert places == list(range(1, 101))
    assert prioritizer.estimated(low, "NQ_NDX", "gex_zero").queue_position == 101
    first, last = prioritizer.expected_at(waiting[0]), prioritizer.expected_at(waiting[-1])
    assert first is not None
    assert last is not None
    assert last - NOON > 10 * (first - NOON)


@pytest.mark.parametrize(
    ("level", "after_min", "due_min"),
    [
        (Priority.CRITICAL, 1, 1.5),
        (Priority.CRITICAL, 4.8, 5),  # that of HIGH comes first
        (Priority.HIGH, 2, 5),
        (Priority.MEDIUM, 2, 32),
        (Priority.LOW, 2, None),
    ],
)
def test_only_a_less_urgent_level_makes_the_deadline_later(
    level: Priority, after_min: float, due_min: float | None
) -> None:
    at = NOON + timedelta(minutes=after_min)
    changed = overridden(a_request(), Override(priority_level=level, priority_score=0.1, at=at))
    assert changed.deadline == (None if due_min is None else NOON + timedelta(minutes=due_min))


def test_a_request_that_is_changed_all_the_time_still_fits_a_message() -> None:
    request = a_request()
    prioritizer = a_prioritizer()
    for number in range(500):
        choice = Choice((number % 2) / 2, "é" * 500, None)
        request = prioritizer.overridden(request, choice, NOON + timedelta(seconds=number))
    assert request.overrides[-1].at == NOON + timedelta(seconds=499)
    assert len(request.model_dump_json()) < 200_000


def test_joining_keeps_the_request_and_its_score_unless_it_becomes_more_urgent() -> None:
    standing = a_request()
    more = a_request(priority_level=Priority.CRITICAL, priority_score=0.95, decided_by=("Other",))
    raised = joined(standing, more)
    assert (raised.request_id, raised.priority_score, raised.decided_by) == (
        standing.request_id,
        0.95,
        ("Other",),
    )
    assert joined(standing, a_request(priority_score=0.8)) is standing
    assert joined(more, standing) is more


def test_a_request_is_that_of_its_job_alone() -> None:
    request = a_request()
    job = a_job(request_id=request.request_id, priority=Priority.LOW, priority_score=0.1)
    of_job = as_of(job, request)
    assert of_job is not None
    assert (of_job.priority_level, of_job.priority_score, of_job.deadline) == (Priority.LOW, 0.1, None)
    assert as_of(a_job(), request) is None
