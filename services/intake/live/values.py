"""Read single values of live payloads: numbers, also as strings, and times in whatever unit they come."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any, Final, cast

from services.intake.epochs import EPOCH, MILLISECOND, epoch_ms, iso_ms
from services.intake.errors import Unprocessable
from shared.bus.feeds.live_messages import Number

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,5})?")
MIN_INT32: Final = -(2**31)
MAX_INT32: Final = 2**31 - 1
_NUMBERS: Final = frozenset({int, float})
_LARGE: Final = 1e300
_EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01."""
_AHEAD_MS: Final = 86_400_000
"""How far a client's clock may be ahead."""


def missing(field: str) -> Unprocessable:
    """Return the refusal of a payload that lacks a field."""
    return Unprocessable(field, "missing", f"{field}: it is missing")


def read_number(field: str, value: Any) -> Number | None:
    """Return a number as it was sent: an integer or a float; None for null and an empty string.

    Raises:
        Unprocessable: it is no finite number.
    """
    if type(value) in _NUMBERS and -_LARGE < value < _LARGE:  # most are such numbers
        return cast(Number, value)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = _from_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise Unprocessable(field, "number", f"{field}: it must be a finite number")
    return value


def read_float(field: str, value: Any) -> float | None:
    """Return a number as a float; None for null and an empty string.

    Raises:
        Unprocessable: it is no finite number.
    """
    number = read_number(field, value)
    return None if number is None else float(number)


def read_int32(field: str, value: Any) -> int | None:
    """Return a 32-bit integer; None for null and an empty string.

    Raises:
        Unprocessable: it is anything else.
    """
    number = read_number(field, value)
    if number is None:
        return None
    if number != int(number) or not MIN_INT32 <= number <= MAX_INT32:
        raise Unprocessable(field, "integer", f"{field}: it must be a 32-bit integer, not {value!r:.40}")
    return int(number)


def read_time_ms(field: str, value: Any, now: datetime) -> int | None:
    """Return a time as UTC epoch milliseconds; None for null and an empty string.

    Numbers, also in strings, are epoch seconds, milliseconds, microseconds or nanoseconds by their
    magnitude; other strings are ISO 8601, in UTC unless they have an offset.

    Raises:
        Unprocessable: it is no time, before 2000, or more than a day after ``now``.
    """
    if isinstance(value, str) and (text := value.strip()) and not _NUMBER.fullmatch(text):
        time_ms = _iso_ms(field, text)
    else:
        number = read_number(field, value)
        if number is None:
            return None
        time_ms = epoch_ms(number)
    if not _EARLIEST_MS <= time_ms <= (now - EPOCH) // MILLISECOND + _AHEAD_MS:
        message = f"{field}: {value!r:.40} is before 2000 or more than a day in the future"
        raise Unprocessable(field, "range", message)
    return time_ms


def _from_text(text: str) -> Number | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else None


def _is_finite(number: Number) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False


def _iso_ms(field: str, text: str) -> int:
    try:
        return iso_ms(text)
    except (ValueError, OverflowError):
        message = f"{field}: {text!r:.40} is no time: send epoch seconds, milliseconds or an ISO 8601 time"
        raise Unprocessable(field, "time", message) from None
