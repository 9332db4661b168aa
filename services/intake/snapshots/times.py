"""Points in time as clients write them: epochs, ISO times, and trading days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from shared.gexbot.trading_day import bounds_ms

MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_EPOCH: Final = re.compile(r"\d{1,19}(\.\d{1,9})?")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_MS: Final = 10**11
"""As seconds, so many are past the year 5000; as milliseconds, they are in 1973."""
_MIN_US: Final = 10**14
_MIN_NS: Final = 10**17
_FORMS: Final = "2025-11-14, 2025-11-14T15:30:00Z (a + of its zone written as %2B), or an epoch in s or ms"


def read_start(text: str) -> int:
    """Return the first millisecond of a range, as a UTC epoch.

    A day is one of New York; a time without a zone is UTC. Epochs are told apart by their magnitude.

    Raises:
        ValueError: it is not a time.
    """
    return _read(text, is_end=False)


def read_end(text: str) -> int:
    """Return the first millisecond after a range, as a UTC epoch; that after the end of a day.

    Raises:
        ValueError: it is not a time.
    """
    return _read(text, is_end=True)


def iso_of(timestamp_ms: int) -> str:
    """Return a UTC epoch in milliseconds as an ISO time."""
    moment = _UNIX + timedelta(milliseconds=timestamp_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(text: str, *, is_end: bool) -> int:
    text = text.strip()
    try:
        found = _day_ms(text, is_end=is_end) if _DAY.fullmatch(text) else _time_ms(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is not a time: write it like {_FORMS}") from error
    return max(0, min(found, MAX_MS))


def _day_ms(text: str, *, is_end: bool) -> int:
    day = date.fromisoformat(text)
    # Days at the ends of the calendar have no midnight on one side of it.
    inside = min(max(day, date(1970, 1, 2)), date(9999, 12, 30))
    return bounds_ms(inside)[is_end]


def _time_ms(text: str) -> int:
    if _EPOCH.fullmatch(text):
        number = Decimal(text)
        return int(number * 1000 if number < _MIN_MS else number / _per_ms(number))
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _UNIX) // timedelta(milliseconds=1)


def _per_ms(number: Decimal) -> int:
    """Return how many of its units are a millisecond, for an epoch that is not in seconds."""
    return 1 if number < _MIN_US else 1000 if number < _MIN_NS else 1_000_000
