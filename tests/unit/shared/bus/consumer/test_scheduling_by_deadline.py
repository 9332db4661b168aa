"""The order by deadline: one choice at a time, and over a week of virtual time."""

from __future__ import annotations

import math
from itertools import groupby
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Priority
from shared.bus.consumer.scheduling import PROMISE_S, Turn, by_deadline, choose, deadline_s
from tests.support.scheduling.consumer import SimulatedJob
from tests.support.scheduling.simulation import Incidents, Simulation, Stage, a_week

CRITICAL, HIGH, MEDIUM, LOW = Priority
NOW_S = 10_000.0
some_waiting = st.dictionaries(
    st.sampled_from(Priority), st.floats(NOW_S - 5000, NOW_S + 5000), min_size=1
).map(lambda found: {**found, LOW: math.inf} if LOW in found else found)


def chosen(deadlines: dict[Priority, float], free: int = 4, passed_over: int = 0) -> Priority | None:
    turn = choose(deadlines, NOW_S, free_slots=free, slots=4, passed_over=passed_over)
    return turn.priority if turn else None


def left(priority: Priority, seconds: float) -> dict[Priority, float]:
    return {priority: NOW_S + seconds}


def test_a_request_has_the_deadline_of_its_level() -> None:
    assert [deadline_s(priority, 100) for priority in Priority] == [130, 400, 1900, math.inf]


@pytest.mark.parametrize(
    ("deadlines", "expected"),
    [
        (left(HIGH, 290) | left(CRITICAL, 25) | left(LOW, math.inf), CRITICAL),
        (left(MEDIUM, 700) | left(HIGH, 290), HIGH),
        (left(MEDIUM, 50) | left(HIGH, 290), MEDIUM),
        (left(MEDIUM, 50) | left(HIGH, 40), HIGH),
        (left(HIGH, 10) | left(CRITICAL, 25), HIGH),
        (left(HIGH, 50) | left(CRITICAL, 25), CRITICAL),
        (left(MEDIUM, 1) | left(CRITICAL, 25), CRITICAL),
        (left(HIGH, -5) | left(CRITICAL, 25), CRITICAL),
        (left(MEDIUM, -5) | left(HIGH, 290), HIGH),
        (left(CRITICAL, -500) | left(HIGH, 10), CRITICAL),
        (left(LOW, math.inf), LOW),
    ],
    ids=[
        "the most urgent first",
        "level before deadline",
        "MEDIUM near its deadline is raised to HIGH",
        "raised work competes by its deadline",
        "HIGH near its deadline is raised to CRITICAL",
        "and competes by its deadline",
        "MEDIUM is raised by one level only",
        "a broken promise of HIGH breaks none of CRITICAL",
        "a broken promise of MEDIUM breaks none of HIGH",
        "CRITICAL stays first",
        "LOW when there is room",
    ],
)
def test_one_choice(deadlines: dict[Priority, float], expected: Priority) -> None:
    assert chosen(deadlines) is expected


@given(some_waiting)
def test_the_last_free_slot_takes_critical_work_or_none(deadlines: dict[Priority, float]) -> None:
    assert chosen(deadlines, free=1, passed_over=99) is (CRITICAL if CRITICAL in deadlines else None)


@given(some_waiting, st.integers(0, 20))
def test_no_choice_passes_over_a_higher_level_with_an_earlier_deadline(
    deadlines: dict[Priority, float], passed_over: int
) -> None:
    turn = choose(deadlines, NOW_S, free_slots=4, slots=4, passed_over=passed_over)
    assert turn is not None
    if turn != Turn(LOW, 0):
        earlier = {p for p, deadline in deadlines.items() if deadline < deadlines[turn.priority]}
        assert not {p for p in earlier if list(Priority).index(p) < list(Priority).index(turn.priority)}


@pytest.mark.parametrize(("urgent", "others"), [(MEDIUM, 8), (CRITICAL, 9)])
def test_low_gets_one_turn_in_ten_and_lets_critical_pass_once(urgent: Priority, others: int) -> None:
    passed_over, turns = 0, []
    for _ in range(50):
        turn = choose(
            left(urgent, 20) | left(LOW, math.inf), NOW_S, free_slots=4, slots=4, passed_over=passed_over
        )
        assert turn is not None
        passed_over = turn.passed_over
        turns.append(turn.priority)
    runs = [len(list(run)) for priority, run in groupby(turns) if priority is urgent]
    assert set(runs[:-1]) == {others}


def test_turns_are_counted_only_while_low_work_waits_for_them() -> None:
    alone = choose(left(HIGH, 290), NOW_S, free_slots=4, slots=4, passed_over=7)
    reserved = choose(left(CRITICAL, 20) | left(LOW, math.inf), NOW_S, free_slots=1, slots=4, passed_over=7)
    assert (alone, reserved) == (Turn(HIGH, 0), Turn(CRITICAL, 7))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers())))
def test_a_window_is_sorted_by_deadline_and_keeps_the_order_of_equal_ones(
    window: list[tuple[int, int]],
) -> None:
    ordered = by_deadline(window, lambda message: message[0])
    for deadline in {deadline for deadline, _ in window}:
        assert [m for m in ordered if m[0] == deadline] == [m for m in window if m[0] == deadline]
    assert [deadline for deadline, _ in ordered] == sorted(deadline for deadline, _ in window)


def assert_sound(simulation: Simulation) -> None:
    """Check what holds of every simulation."""
    assert all(job.imports == 1 for job in simulation.jobs)
    for stage in (simulation.fetch, simulation.imports):
        assert not stage.inversions
        assert max_run_without_low(stage) <= 9


def max_run_without_low(stage: Stage) -> int:
    runs = (len(list(run)) for is_low, run in groupby(stage.turns, LOW.__eq__) if not is_low)
    return max(runs, default=0)


def broken_promises(jobs: list[SimulatedJob]) -> list[SimulatedJob]:
    return [
        job for job in jobs if not job.was_disturbed and job.waited_s > PROMISE_S.get(job.priority, 86_400.0)
    ]


def incidents_of_a_week(seed: int) -> Incidents:
    random, week_s = Random(seed), 7 * 86_400.0
    starts = [random.uniform(0, week_s) for _ in range(20)]
    return Incidents(
        failing=0.02,
        outages=[(start, start + 600, random.randrange(4)) for start in starts],
        restarts=[random.uniform(0, week_s) for _ in range(14)],
        broker_restarts=[random.uniform(0, week_s) for _ in range(7)],
    )


@pytest.mark.parametrize(
    "total", [5_000, pytest.param(200_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_a_week_keeps_every_promise_that_no_incident_breaks(total: int) -> None:
    """LOW work comes in a flood each night and is never older than a day."""
    jobs = a_week(total, seed=1)
    simulation = Simulation(jobs, fetchers=6, importers=2, incidents=incidents_of_a_week(1), seed=1)
    simulation.run()
    assert_sound(simulation)
    assert broken_promises(jobs) == []
    assert max(job.waited_s for job in jobs if job.priority is LOW) < 86_400
    assert sum(job.was_disturbed for job in jobs) > total / 100


def test_an_hour_of_overload_breaks_no_promise_of_critical_and_starves_none() -> None:
    """MEDIUM and LOW requests need twice the slots; CRITICAL ones come in between."""
    random = Random(2)
    shares = [CRITICAL] + [HIGH] * 2 + [MEDIUM] * 20 + [LOW] * 20
    moments = sorted(random.uniform(0, 3600) for _ in range(8_000))
    jobs = [
        SimulatedJob(number, random.choice(shares), at_s, 0, fetch_s=4, import_s=0.5)
        for number, at_s in enumerate(moments)
    ]
    simulation = Simulation(jobs, fetchers=5, importers=2)
    simulation.run()
    assert_sound(simulation)
    assert {job.priority for job in broken_promises(jobs)} <= {MEDIUM}
    assert LOW in simulation.fetch.turns[:100]


def test_the_earliest_deadline_of_a_window_is_taken_whatever_the_order_of_the_stream() -> None:
    """Commands to import come in the order in which the fetches ended."""
    stage = Stage(slots=4)
    jobs = [SimulatedJob(number, MEDIUM, at_s, 0, 1, 1) for number, at_s in enumerate((30, 50, 10, 40, 20))]
    for job in jobs:
        stage.waiting[MEDIUM].publish(job)
    taken = [stage.take(60.0) for _ in jobs]
    assert [job.requested_s for job in taken if job] == [10, 20, 30, 40, 50]
