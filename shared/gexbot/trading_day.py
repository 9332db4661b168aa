"""Trading days: the date in America/New_York, whatever the session's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")


def trading_day_of(timestamp_ms: int) -> date:
    """Return the New York date of a UTC epoch in milliseconds.

    Raises:
        ValueError: no calendar has it, or no day after it, at which it would end.
        OverflowError: the same.
        OSError: the same.
    """
    day = new_york_time(timestamp_ms).date()
    if day == date.max:
        raise OverflowError(f"no day follows {day}")
    return day


def new_york_time(timestamp_ms: int) -> datetime:
    """Return a UTC epoch in milliseconds as a time in New York.

    Raises:
        ValueError: no calendar has it.
        OverflowError: the same.
        OSError: the same.
    """
    seconds, milliseconds = divmod(timestamp_ms, 1000)
    moment = datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=1000 * milliseconds)
    return moment.astimezone(NEW_YORK)


def bounds_ms(day: date) -> tuple[int, int]:
    """Return the half-open interval ``[start, end)`` of a trading day, as UTC epoch milliseconds.

    It is 23 or 25 hours long on the days when the clocks change.
    """
    return _midnight_ms(day), _midnight_ms(day + timedelta(days=1))


def _midnight_ms(day: date) -> int:
    return int(datetime.combine(day, time.min, tzinfo=NEW_YORK).timestamp()) * 1000
