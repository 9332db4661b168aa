"""The calendar of the exchange, held against another library's."""

from __future__ import annotations

from datetime import date
from functools import cache

import exchange_calendars
import pytest

from services.intake.market_days import days_between, early_close, is_weekend, why_closed

YEARS = range(2000, 2028)


@cache
def nyse() -> exchange_calendars.ExchangeCalendar:
    return exchange_calendars.get_calendar("XNYS", start=f"{YEARS[0]}-01-01", end=f"{YEARS[-1]}-12-31")


def days_of(year: int) -> list[date]:
    return list(days_between(date(year, 1, 1), date(year, 12, 31)))


@pytest.mark.filterwarnings("ignore:Series.values:DeprecationWarning")  # the other library, of its pandas
@pytest.mark.parametrize("year", YEARS)
def test_trading_days_and_early_closes_are_those_of_another_calendar(year: int) -> None:
    sessions = {moment.date() for moment in nyse().sessions if moment.year == year}
    early = {moment.date() for moment in nyse().early_closes if moment.year == year}
    assert {day for day in days_of(year) if why_closed(day) is None} == sessions
    assert {day for day in days_of(year) if early_close(day)} == early


def test_the_autumn_of_2025_has_54_trading_days() -> None:
    days = days_between(date(2025, 9, 2), date(2025, 11, 14))
    assert sum(why_closed(day) is None for day in days) == 54


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (date(2025, 11, 27), "Thanksgiving Day"),
        (date(2025, 11, 29), "Saturday"),
        (date(2026, 7, 3), "Independence Day (observed)"),
        (date(2025, 1, 9), "National Day of Mourning for former President Jimmy Carter"),
        (date(2025, 11, 28), None),
    ],
)
def test_a_closed_day_says_why(day: date, why: str | None) -> None:
    assert why_closed(day) == why


def test_an_early_close_says_when() -> None:
    assert early_close(date(2025, 11, 28)) == "Day after Thanksgiving Day (markets close at 1:00pm)"
    assert early_close(date(2025, 11, 26)) is None
    assert early_close(date(2025, 7, 5)) is None


def test_days_between_holds_both_ends() -> None:
    friday = date(2025, 11, 14)
    assert list(days_between(friday, friday)) == [friday]
    assert [is_weekend(day) for day in days_between(friday, date(2025, 11, 17))] == [False, True, True, False]
    assert list(days_between(friday, date(2025, 11, 13))) == []
