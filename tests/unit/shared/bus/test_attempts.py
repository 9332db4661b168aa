"""When work is tried again."""

from __future__ import annotations

import pytest

from shared.bus.consumer.attempts import Retries


def test_the_pause_after_a_failure_doubles_until_the_last_attempt() -> None:
    retries = Retries(max_attempts=3, delay_s=5)
    assert [retries.after(failures) for failures in (1, 2, 3)] == [5, 10, None]


def test_a_longer_pause_that_is_asked_for_is_made_up_to_the_longest() -> None:
    retries = Retries(max_attempts=3, delay_s=5, max_retry_after_s=60)
    assert [retries.after(1, asked_s) for asked_s in (None, 0, 3, 30, 60, 86_400)] == [5, 5, 5, 30, 60, 60]
    assert [retries.after(2, 3), retries.after(3, 30)] == [10, None]


def test_the_pause_while_there_is_no_room_doubles_up_to_the_longest_and_never_ends() -> None:
    retries = Retries(max_attempts=3, delay_s=5)
    assert [retries.after_waiting(waits, 60) for waits in (1, 2, 3, 4, 5, 6, 100_000)] == [
        5, 10, 20, 40, 60, 60, 60,
    ]  # fmt: skip


@pytest.mark.parametrize("delay_s", [0, 0.001])
def test_work_without_room_is_not_tried_without_a_pause(delay_s: float) -> None:
    retries = Retries(max_attempts=3, delay_s=delay_s)
    assert retries.after_waiting(1, 60) == 0.1
    assert retries.after_waiting(20, 60) == 60
