"""When a source is left alone: scenes over a clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.sources import Circuit
from services.fetcher.health.circuit_breaker import (
    BreakerRules,
    CircuitOpen,
    RequestAllowed,
    after_failure,
    after_response,
    after_success,
    decide,
    without_probe,
)
from shared.sources.record import SourceRecord
from tests.support.values import NOON

RULES = BreakerRules(failures=3, pause_s=30, max_pause_s=100, probe_s=20)
NEW = SourceRecord(base_url="https://hist.gex.bot")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def failed(record: SourceRecord, seconds: float = 0, *, was_probe: bool = False) -> SourceRecord:
    return after_failure(record, at(seconds), RULES, was_probe=was_probe)


def permanent_failure(seconds: float = 0) -> SourceRecord:
    record = NEW
    for _ in range(RULES.failures):
        record = failed(record, seconds)
    return record


def claimed(record: SourceRecord, seconds: float) -> SourceRecord:
    verdict = decide(record, at(seconds), RULES)
    assert isinstance(verdict, RequestAllowed)
    assert verdict.claim is not None
    return verdict.claim


def test_a_source_that_works_is_asked_by_everybody() -> None:
    assert decide(NEW, NOON, RULES) == RequestAllowed()


def test_the_third_failure_in_a_row_is_one_too_many() -> None:
    twice = failed(failed(NEW))
    assert decide(twice, NOON, RULES) == RequestAllowed()
    assert decide(failed(twice), NOON, RULES) == CircuitOpen(at(30), is_tried=False)


def test_failures_with_a_success_between_them_are_not_in_a_row() -> None:
    record = failed(after_success(failed(failed(NEW))))
    assert record.failures_in_a_row == 1
    assert decide(record, NOON, RULES) == RequestAllowed()


def test_one_request_tries_the_source_and_the_others_wait_for_it() -> None:
    record = claimed(permanent_failure(), 30)
    assert decide(record, at(31), RULES) == CircuitOpen(at(50), is_tried=True)


def test_another_one_tries_when_the_first_was_never_heard_of_again() -> None:
    record = claimed(permanent_failure(), 30)
    assert claimed(record, 50).probe_until == at(70)


def test_a_clock_that_was_set_back_holds_no_circuit_open() -> None:
    opened = permanent_failure(seconds=3600)
    probing = claimed(opened, 3630)
    for record in (opened, probing):
        again = claimed(record, 10)
        assert again.probe_until == at(30)
        assert decide(failed(again, 12, was_probe=True), at(13), RULES) == CircuitOpen(
            at(12 + 60), is_tried=False
        )


def test_clocks_of_fetchers_that_differ_by_less_than_a_pause_change_nothing() -> None:
    assert decide(permanent_failure(seconds=20), NOON, RULES) == CircuitOpen(at(50), is_tried=False)
    assert decide(claimed(permanent_failure(), 50), at(35), RULES) == CircuitOpen(at(70), is_tried=True)


def test_another_one_tries_at_once_when_the_first_ended_without_a_word_from_the_source() -> None:
    record = without_probe(claimed(permanent_failure(), 30))
    assert claimed(record, 31).probe_until == at(51)


def test_a_source_that_fails_again_is_left_alone_twice_as_long_up_to_the_cap() -> None:
    record, pauses, clock = permanent_failure(), [], 0.0
    for _ in range(4):
        assert record.open_until is not None
        pauses.append((record.open_until - at(clock)).total_seconds())
        clock += pauses[-1]
        record = failed(claimed(record, clock), clock, was_probe=True)
    assert pauses == [30, 60, 100, 100]


def test_a_source_that_works_again_is_asked_as_if_nothing_had_been() -> None:
    record = after_success(claimed(permanent_failure(), 30))
    assert record == NEW
    assert failed(record).circuit(NOON) is Circuit.CLOSED


def test_once_the_trying_request_is_answered_the_others_follow_but_one_failure_ends_that() -> None:
    answered = after_response(claimed(permanent_failure(), 30), RULES)
    assert decide(answered, at(31), RULES) == RequestAllowed()
    again = failed(answered, 31)
    assert again.open_until == at(31 + 60)


@pytest.mark.parametrize("seconds", [10, 31], ids=["while it is left alone", "while it is tried"])
def test_a_request_from_before_tells_nothing_new_when_it_fails(seconds: float) -> None:
    record = claimed(permanent_failure(), 30) if seconds > 30 else permanent_failure()
    later = failed(record, seconds)
    assert (later.open_until, later.probe_until, later.openings) == (
        record.open_until,
        record.probe_until,
        1,
    )


def test_a_request_from_before_that_succeeds_shows_that_the_source_works() -> None:
    assert decide(after_success(permanent_failure()), at(1), RULES) == RequestAllowed()


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed", "answer"]), st.floats(0, 200))))
def test_whatever_happens_the_source_is_asked_again_in_time(steps: list[tuple[str, float]]) -> None:
    """No pause is longer than the cap, and no probe blocks longer than its time."""
    record, clock, is_probe = NEW, 0.0, False
    for step, seconds in steps:
        clock += seconds
        match step, decide(record, at(clock), RULES):
            case "ask", RequestAllowed(claim=SourceRecord() as claim):
                record, is_probe = claim, True
            case "fail", _:
                record, is_probe = failed(record, clock, was_probe=is_probe), False
            case "succeed", _:
                record, is_probe = after_success(record), False
            case "answer", _ if is_probe:
                record, is_probe = after_response(record, RULES), False
            case _:
                pass
        verdict = decide(record, at(clock), RULES)
        if isinstance(verdict, CircuitOpen):
            assert verdict.until <= at(clock + RULES.max_pause_s)
    assert isinstance(decide(record, at(clock + RULES.max_pause_s), RULES), RequestAllowed)
