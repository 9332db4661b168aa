"""Points in time as clients write them: epochs, ISO times, and trading days."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from services.intake.epochs import EPOCH, MILLISECOND, epoch_ms, iso_ms
from shared.gexbot.trading_day import bounds_ms

MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_NUMBER: Final = re.compile(r"\d{1,19}(\.\d{1,9})?")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_FORMS: Final = "2025-11-14, 2025-11-14T15:30:00Z (a + of its zone written as %2B), or an epoch in s or ms"


def read_start(text: str) -> int:
    """Return the first millisecond of a range, as a UTC epoch.

    A day is one of New York; a time without a zone is UTC. The unit of an epoch is known by its magnitude.

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
    moment = EPOCH + timestamp_ms * MILLISECOND
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
    return epoch_ms(Decimal(text)) if _NUMBER.fullmatch(text) else iso_ms(text)
