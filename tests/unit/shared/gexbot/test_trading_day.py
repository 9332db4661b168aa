"""Trading days in New York time."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gexbot.trading_day import bounds_ms, trading_day_of

HOUR_MS = 3_600_000
days = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@given(days, st.data())
def test_every_millisecond_of_a_day_belongs_to_it(day: date, data: st.DataObject) -> None:
    start, end = bounds_ms(day)
    assert trading_day_of(data.draw(st.integers(start, end - 1))) == day
    assert trading_day_of(start) == day
    assert trading_day_of(end - 1) == day
    assert trading_day_of(start - 1) < day < trading_day_of(end)


@given(days)
def test_days_follow_one_another_without_a_gap(day: date) -> None:
    assert bounds_ms(day)[1] == bounds_ms(date.fromordinal(day.toordinal() + 1))[0]


@pytest.mark.parametrize(
    ("day", "hours"), [("2025-11-14", 24), ("2025-03-09", 23), ("2025-11-02", 25), ("2024-03-10", 23)]
)
def test_a_day_is_23_or_25_hours_long_when_the_clocks_change(day: str, hours: int) -> None:
    start, end = bounds_ms(date.fromisoformat(day))
    assert end - start == hours * HOUR_MS


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2025-11-14T04:59:59.999", "2025-11-13"),
        ("2025-11-14T05:00:00.000", "2025-11-14"),
        ("2025-07-14T03:59:59.999", "2025-07-13"),
        ("2025-07-14T04:00:00.000", "2025-07-14"),
        ("2025-11-15T04:59:59.999", "2025-11-14"),
    ],
)
def test_the_day_changes_at_midnight_in_new_york(moment: str, day: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert trading_day_of(round(at.timestamp() * 1000)) == date.fromisoformat(day)


def test_the_last_day_of_the_calendar_has_no_end_and_is_none() -> None:
    with pytest.raises(OverflowError, match="no day follows 9999-12-31"):
        trading_day_of(253402232400000)
