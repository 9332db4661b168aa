"""The search for the highest rate."""

from __future__ import annotations

from bench.live.load import ALL_ROUTES, Loaded, Route
from bench.live.rates import best, highest


def loaded(rate: float, p95: float, failures: int = 0) -> Loaded:
    requests = round(rate * 10) + failures
    return Loaded(10.0, 1.0, {ALL_ROUTES: Route(requests, failures, 1.0, p95, p95, p95)}, (), {})


def test_the_highest_rate_is_within_an_eighth_of_the_last_one_that_was_held_while_doubling() -> None:
    steps = highest(lambda rate: loaded(rate, 20 if rate <= 730 else 150), lambda _: None)
    found = best(steps)
    assert found is not None
    assert 630 <= found.rate <= 730
    assert max(step.rate for step in steps) == 800


def test_a_rate_that_is_not_reached_is_not_held() -> None:
    steps = highest(lambda rate: loaded(min(rate, 500.0), 20), lambda _: None)
    found = best(steps)
    assert found is not None
    assert found.rate == 500


def test_a_rate_with_an_error_is_not_held() -> None:
    assert best(highest(lambda rate: loaded(rate, 20, failures=1), lambda _: None)) is None


def test_a_step_that_fails_once_is_repeated() -> None:
    times: dict[float, int] = {}

    def run(rate: float) -> Loaded:
        times[rate] = times.get(rate, 0) + 1
        return loaded(rate, 150 if times[rate] == 1 or rate > 400 else 20)

    found = best(highest(run, lambda _: None))
    assert found is not None
    assert found.rate == 400
