"""The minutes of a trading day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from shared.massive.sessions import session_of

DAY = date(2025, 11, 14)


@pytest.mark.parametrize(
    ("extended", "closes_early", "first", "last", "minutes"),
    [
        (False, False, "2025-11-14T14:30", "2025-11-14T20:59", 390),
        (False, True, "2025-11-14T14:30", "2025-11-14T17:59", 210),
        (True, False, "2025-11-14T09:00", "2025-11-15T00:59", 960),
        (True, True, "2025-11-14T09:00", "2025-11-14T21:59", 780),
    ],
)
def test_a_session_has_these_minutes(
    extended: bool, closes_early: bool, first: str, last: str, minutes: int
) -> None:
    found = session_of(DAY, extended=extended, closes_early=closes_early).minutes
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat()[:16] for at in (found[0], found[-1])] == [
        first,
        last,
    ]
    assert len(found) == minutes


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        (date(2025, 3, 7), "2025-03-07T14:30"),
        (date(2025, 3, 10), "2025-03-10T13:30"),
        (date(2025, 10, 31), "2025-10-31T13:30"),
        (date(2025, 11, 3), "2025-11-03T14:30"),
    ],
)
def test_a_session_opens_at_the_same_time_in_new_york_when_clocks_change(day: date, opens: str) -> None:
    start = session_of(day, extended=False, closes_early=False).start_ms
    assert datetime.fromtimestamp(start / 1000, UTC).isoformat()[:16] == opens
