"""Delays between attempts."""

from __future__ import annotations

import pytest

from shared.bus.consumer.attempts import Retries


def test_the_delay_doubles_with_each_failure_until_the_last_attempt() -> None:
    retries = Retries(max_attempts=3, delay_s=5)
    assert [retries.delay_after_failures(failures) for failures in (1, 2, 3)] == [5, 10, None]


def test_a_requested_delay_lengthens_the_delay_up_to_its_maximum() -> None:
    retries = Retries(max_attempts=3, delay_s=5, max_retry_after_s=60)
    assert [retries.delay_after_failures(1, requested_s) for requested_s in (None, 0, 3, 30, 60, 86_400)] == [
        5,
        5,
        5,
        30,
        60,
        60,
    ]
    assert [retries.delay_after_failures(2, 3), retries.delay_after_failures(3, 30)] == [10, None]


def test_the_delay_of_deferred_work_doubles_up_to_its_maximum_without_an_end() -> None:
    retries = Retries(max_attempts=3, delay_s=5)
    assert [retries.delay_after_deferrals(deferrals, 60) for deferrals in (1, 2, 3, 4, 5, 6, 100_000)] == [
        5, 10, 20, 40, 60, 60, 60,
    ]  # fmt: skip


@pytest.mark.parametrize("delay_s", [0, 0.001])
def test_deferred_work_has_a_minimum_delay(delay_s: float) -> None:
    retries = Retries(max_attempts=3, delay_s=delay_s)
    assert retries.delay_after_deferrals(1, 60) == 0.1
    assert retries.delay_after_deferrals(20, 60) == 60
