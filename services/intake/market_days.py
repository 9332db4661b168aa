"""The days on which the New York Stock Exchange trades, and those of them on which it closes early.

Closures that follow a rule are known for years ahead; one that is declared (a day of mourning) is known from
the release of ``holidays`` that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from holidays import HALF_DAY, PUBLIC, financial_holidays

_SATURDAY: Final = 5


def days_between(start: date, end: date) -> Iterator[date]:
    """Yield every day of the calendar from ``start`` to ``end``, both included."""
    for ahead in range((end - start).days + 1):
        yield start + timedelta(days=ahead)


def is_weekend(day: date) -> bool:
    """Return whether a day is a Saturday or a Sunday."""
    return day.weekday() >= _SATURDAY


def why_closed(day: date) -> str | None:
    """Return why there is no trading on a day, ``Thanksgiving Day`` or ``Saturday``; None if there is."""
    return f"{day:%A}" if is_weekend(day) else _named_days(day.year, PUBLIC).get(day)


def early_close(day: date) -> str | None:
    """Return why trading ends early on a day, and when; None if it does not."""
    return None if why_closed(day) else _named_days(day.year, HALF_DAY).get(day)


@lru_cache(maxsize=64)
def _named_days(year: int, category: str) -> Mapping[date, str]:
    return dict(financial_holidays("NYSE", years=year, expand=False, language="en_US", categories=category))
