"""Which priority is served next."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Priority
from shared.bus.consumer.scheduling import allowed, order

some_waiting = st.sets(st.sampled_from(Priority), min_size=1)


def served(pulled: int, waiting: set[Priority]) -> Priority:
    return next(priority for priority in order(pulled) if priority in waiting)


@given(st.integers(0, 10_000))
def test_every_pull_tries_every_priority_once(pulled: int) -> None:
    assert sorted(order(pulled)) == sorted(Priority)


@given(st.integers(0, 1000), some_waiting)
def test_no_waiting_priority_starves(start: int, waiting: set[Priority]) -> None:
    taken = Counter(served(pulled, waiting) for pulled in range(start, start + 15))
    assert set(taken) == waiting


@given(st.integers(0, 1000))
def test_critical_gets_four_fifths_when_all_queues_are_full(start: int) -> None:
    taken = Counter(served(pulled, set(Priority)) for pulled in range(start, start + 60))
    assert taken[Priority.CRITICAL] == 48
    assert taken[Priority.HIGH] == taken[Priority.MEDIUM] == taken[Priority.LOW] == 4


@given(st.integers(0, 1000), some_waiting)
def test_between_two_priorities_the_more_urgent_gets_more(start: int, waiting: set[Priority]) -> None:
    taken = Counter(served(pulled, waiting) for pulled in range(start, start + 60))
    ranked = [taken[priority] for priority in Priority if priority in waiting]
    assert ranked == sorted(ranked, reverse=True)


@pytest.mark.parametrize(
    ("free", "slots", "expected"),
    [
        (0, 4, set()),
        (1, 4, {Priority.CRITICAL}),
        (2, 4, set(Priority)),
        (4, 4, set(Priority)),
        (1, 1, set(Priority)),
        (0, 1, set()),
    ],
)
def test_the_last_free_slot_is_reserved_for_critical_work(
    free: int, slots: int, expected: set[Priority]
) -> None:
    assert allowed(free, slots) == expected
