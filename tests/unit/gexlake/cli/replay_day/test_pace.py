"""When records are due, and how late they are."""

from __future__ import annotations

from gexlake.cli.replay_day.pace import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_records_are_due_at_their_distance_divided_by_the_speed() -> None:
    clock = Clock()
    pace = Pace(60, clock)
    assert [pace.wait_s(ms) for ms in (5_000, 65_000)] == [0.0, 1.0]
    clock.now += 0.25
    assert (pace.wait_s(65_000), pace.took_s) == (0.75, 0.25)


def test_a_late_record_is_due_now_and_the_schedule_stays() -> None:
    clock = Clock()
    pace = Pace(60, clock)
    pace.wait_s(0)
    clock.now += 3
    assert pace.wait_s(60_000) == 0.0
    pace.sent(60_000)
    assert (pace.behind_s, pace.most_behind_s) == (2.0, 2.0)
    pace.sent(240_000)
    assert (pace.behind_s, pace.most_behind_s) == (0.0, 2.0)


def test_without_a_speed_no_record_is_early_or_late() -> None:
    clock = Clock()
    pace = Pace(None, clock)
    assert [pace.wait_s(ms) for ms in (0, 10**9)] == [0.0, 0.0]
    clock.now += 5
    pace.sent(10**9)
    assert pace.most_behind_s == 0.0
