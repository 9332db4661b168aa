"""Faults in the order of records: drawn from a seed, each kind by itself."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.cli.replay_day.faults import MAX_DELAY, FaultCounts, FaultPlan, Faults

RECORDS = 1000
SHARES = st.floats(0, 1)


def sent(faults: Faults, records: int = RECORDS) -> tuple[list[int], FaultCounts]:
    plan: FaultPlan[int] = FaultPlan(faults)
    order = [each for number in range(records) for each in plan.take(number)] + plan.rest()
    return order, plan.counts


def test_without_faults_every_record_comes_at_once() -> None:
    plan: FaultPlan[int] = FaultPlan(Faults())
    assert [plan.take(number) for number in range(5)] == [[0], [1], [2], [3], [4]]
    assert (plan.rest(), plan.counts) == ([], FaultCounts())


@given(SHARES, SHARES, SHARES, st.integers(), st.integers(0, 60))
def test_faults_are_what_the_counts_say(
    gaps: float, duplicates: float, disorder: float, seed: int, records: int
) -> None:
    order, counts = sent(Faults(gaps, duplicates, disorder, seed), records)
    times = Counter(order)
    assert counts.gaps == records - len(times)
    assert counts.duplicates == sum(times.values()) - len(times)
    assert set(times.values()) <= {1, 2}
    firsts = list(dict.fromkeys(order))
    assert counts.reordered == sum(number < max(firsts[: place + 1]) for place, number in enumerate(firsts))
    # A late record comes right after the one in whose place it comes.
    assert all(max(firsts[: place + 1]) - number <= MAX_DELAY for place, number in enumerate(firsts))


@pytest.mark.parametrize(
    ("faults", "field"),
    [(Faults(gaps=0.2), "gaps"), (Faults(duplicates=0.2), "duplicates"), (Faults(disorder=0.2), "reordered")],
)
def test_a_share_is_that_of_all_records(faults: Faults, field: str) -> None:
    counts = sent(faults)[1]
    assert 100 < getattr(counts, field) < 300
    assert counts.gaps + counts.duplicates + counts.reordered == getattr(counts, field)


def test_the_same_seed_draws_the_same_faults_and_another_one_others() -> None:
    faults = Faults(0.1, 0.1, 0.1, seed=7)
    assert sent(faults) == sent(faults)
    assert sent(faults) != sent(Faults(0.1, 0.1, 0.1, seed=8))


def test_one_kind_of_fault_does_not_move_the_others() -> None:
    gaps = set(range(RECORDS)) - set(sent(Faults(gaps=0.1))[0])
    assert gaps == set(range(RECORDS)) - set(sent(Faults(gaps=0.1, duplicates=0.5, disorder=0.5))[0])
