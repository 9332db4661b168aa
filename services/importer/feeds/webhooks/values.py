"""Read single values of webhooks leniently: what cannot be read, or does not fit its column, is None.

Numbers often come as strings, and an empty string stands for a missing value. Nothing here raises.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_INT64: Final = range(-(2**63), 2**63)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1), (math.inf, 0.001))
"""Below which magnitude an epoch time is in seconds, milliseconds, microseconds or nanoseconds, and how many
microseconds the unit has."""
_YEARS: Final = range(2000, 2100)
"""Those that an OCC symbol can name."""
_ENCODER: Final = msgspec.json.Encoder()


def text(value: Any) -> str | None:
    """Return a string without blanks around it, or a number as text."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def double(value: Any) -> float | None:
    """Return a finite number."""
    number = _number(value)
    if number is None:
        return None
    try:
        result = float(number)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def bigint(value: Any) -> int | None:
    """Return a whole number of 64 bits."""
    number = _number(value)
    if number is None or not math.isfinite(number) or number != int(number):
        return None
    return int(number) if int(number) in _INT64 else None


def day(value: Any) -> date | None:
    """Return the date of an ISO 8601 date or time."""
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None


def moment(value: Any) -> datetime | None:
    """Return a time from 2000 to 2099 (UTC).

    It is ISO 8601, in UTC unless it has an offset, or an epoch time whose magnitude says the unit.
    """
    try:
        time = _time(value)
    except (ValueError, OverflowError):
        return None
    return time if time is not None and time.year in _YEARS else None


def json_text(value: Any) -> str | None:
    """Return any value as JSON text; None for null and an empty string."""
    return None if value is None or value == "" else _ENCODER.encode(value).decode()


def _time(value: Any) -> datetime | None:
    number = _number(value)
    if number is not None:
        unit_us = next(unit_us for below, unit_us in _UNITS if abs(number) < below)
        return _EPOCH + timedelta(microseconds=round(number * unit_us))
    if not isinstance(value, str):
        return None
    time = datetime.fromisoformat(value.strip())
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        stripped = value.strip()
        if _INTEGER.fullmatch(stripped):
            return int(stripped)
        return float(stripped) if _NUMBER.fullmatch(stripped) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
