"""Times as clients write them."""

from __future__ import annotations

import pytest

from services.intake.snapshots.times import MAX_MS, iso_of, read_end, read_start

OPEN_MS = 1763130600000
"""2025-11-14 09:30 in New York, 14:30 UTC."""


@pytest.mark.parametrize(
    "text",
    [
        "1763130600",
        "1763130600.0",
        "1763130600000",
        "1763130600000000",
        "1763130600000000000",
        "2025-11-14T14:30:00Z",
        "2025-11-14T14:30",
        "2025-11-14 14:30:00.000",
        "2025-11-14T09:30:00-05:00",
        " 1763130600 ",
    ],
)
def test_every_way_to_write_a_moment_is_the_same_moment(text: str) -> None:
    assert (read_start(text), read_end(text)) == (OPEN_MS, OPEN_MS)


def test_fractions_are_kept_to_the_millisecond() -> None:
    assert read_start("1763130600.25") == read_start("2025-11-14T14:30:00.250Z") == OPEN_MS + 250


@pytest.mark.parametrize(
    ("day", "first", "end"),
    [
        ("2025-11-14", "2025-11-14T05:00:00.000Z", "2025-11-15T05:00:00.000Z"),
        ("2025-11-02", "2025-11-02T04:00:00.000Z", "2025-11-03T05:00:00.000Z"),
    ],
)
def test_a_day_is_the_trading_day_in_new_york(day: str, first: str, end: str) -> None:
    assert (iso_of(read_start(day)), iso_of(read_end(day))) == (first, end)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-13-01", "-5", "1e9", "14:30", "NaN", "2025-11-14T25:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write it like 2025-11-14, "):
        read_start(text)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9" * 19, "0001-01-01T00:00:00+14:00"])
def test_times_at_the_ends_of_the_calendar_are_cut(text: str) -> None:
    assert 0 <= read_start(text) <= read_end(text) <= MAX_MS
