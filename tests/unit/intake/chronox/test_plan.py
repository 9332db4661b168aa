"""What a backfill fetches."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from gexlake.api.chronox.bars import DayRange
from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from services.intake.chronox.errors import PhaseFailed
from services.intake.chronox.plan import Asked, Way, history_of, last_filed, plan_backfill, way_of
from shared.massive.resources import FlatFile, MinuteBars

MONDAY = datetime(2025, 11, 17, 15, tzinfo=UTC)
"""10:00 in New York: the file of Friday is not there yet."""
NOVEMBER = DayRange(first=date(2025, 11, 1), last=date(2025, 11, 16))


def a_symbol(**fields: Any) -> RegisteredSymbol:
    return RegisteredSymbol(
        symbol="AAPL", strategy=Strategy.FLATPACK, created_at=MONDAY, updated_at=MONDAY, **fields
    )


def planned(way: Way, days: DayRange, *complete: DayRange, adjusted: bool = False) -> list[Any]:
    return list(plan_backfill("AAPL", way, days, complete, MONDAY, adjusted=adjusted))


def test_rest_asks_for_the_missing_trading_days_by_month_the_newest_first() -> None:
    days = DayRange(first=date(2025, 9, 1), last=date(2025, 11, 16))
    known = DayRange(first=date(2025, 9, 29), last=date(2025, 11, 10))
    assert planned(Way.REST, days, known) == [
        MinuteBars("AAPL", date(2025, 11, 11), date(2025, 11, 14)),
        MinuteBars("AAPL", date(2025, 9, 2), date(2025, 9, 26)),  # the 1st was Labor Day
    ]
    assert planned(Way.REST, days, days) == []


def test_flat_files_come_for_each_trading_day_and_rest_for_the_days_without_one_yet() -> None:
    days = DayRange(first=date(2025, 11, 12), last=date(2025, 11, 17))
    assert planned(Way.FILES, days) == [
        MinuteBars("AAPL", date(2025, 11, 17), date(2025, 11, 17)),
        FlatFile(date(2025, 11, 14)),
        FlatFile(date(2025, 11, 13)),
        FlatFile(date(2025, 11, 12)),
    ]


def test_adjusted_bars_are_fetched_beside_those_as_traded() -> None:
    assert planned(Way.REST, NOVEMBER, NOVEMBER, adjusted=True) == [
        MinuteBars("AAPL", date(2025, 11, 3), date(2025, 11, 14), adjusted=True)
    ]


@pytest.mark.parametrize(
    ("hour", "day"), [(16, date(2025, 11, 15)), (17, date(2025, 11, 16)), (4, date(2025, 11, 15))]
)
def test_a_file_is_there_before_noon_of_the_next_day(hour: int, day: date) -> None:
    """11:00, 12:00 and 23:00 of the day before in New York."""
    assert last_filed(MONDAY.replace(hour=hour)) == day


@pytest.mark.parametrize(
    ("strategy", "has_file_keys", "way"),
    [
        (Strategy.FLATPACK, True, Way.FILES),
        (Strategy.FLATPACK_SNAPSHOT_STREAM, False, Way.REST),
        (Strategy.FLATPACK_API, True, Way.REST),
    ],
)
def test_without_the_keys_of_flat_files_bars_come_by_rest(
    strategy: Strategy, has_file_keys: bool, way: Way
) -> None:
    assert way_of(strategy, has_file_keys=has_file_keys) is way


def test_a_history_begins_where_the_request_the_symbol_or_the_setting_says() -> None:
    own = a_symbol(metadata={"history_start": "2025-01-02"})
    named = Asked(date(2025, 5, 1), date(2025, 5, 31))
    assert history_of(own, named, MONDAY, 10) == DayRange(first=date(2025, 5, 1), last=date(2025, 5, 31))
    assert history_of(own, Asked(), MONDAY, 10).first == date(2025, 1, 2)
    ten_days = DayRange(first=date(2025, 11, 7), last=date(2025, 11, 16))
    assert history_of(a_symbol(), Asked(), MONDAY, 10) == ten_days
    everything = Asked(date.min)
    assert history_of(a_symbol(), everything, MONDAY, 10).first == date(2003, 1, 1)
    later = history_of(a_symbol(metadata={"history_start": "9999-12-31"}), Asked(), MONDAY, 10)
    assert later == DayRange(first=MONDAY.date(), last=date(2025, 11, 16))
    with pytest.raises(PhaseFailed, match=r"metadata.history_start: '14.11.2025' is not a day"):
        history_of(a_symbol(metadata={"history_start": "14.11.2025"}), Asked(), MONDAY, 10)
