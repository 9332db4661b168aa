"""Points in time as UTC epoch milliseconds: from epochs in any unit, and from ISO 8601."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
_UNITS: Final = ((1e11, 1000, 1), (1e14, 1, 1), (1e17, 1, 1000), (math.inf, 1, 1_000_000))
"""Below which magnitude a time is in seconds, milliseconds, microseconds or nanoseconds, and its factor and
divisor to milliseconds. A time since 2000 falls into one of them until the year 5138."""


def epoch_ms(number: float | Decimal) -> int:
    """Return an epoch whose unit is known by its magnitude; a float is rounded, others are cut off."""
    magnitude = abs(float(number))
    factor, divisor = next((factor, divisor) for below, factor, divisor in _UNITS if magnitude < below)
    if isinstance(number, int):
        return number * factor // divisor
    return round(number * factor / divisor) if isinstance(number, float) else int(number * factor / divisor)


def iso_ms(text: str) -> int:
    """Return an ISO 8601 time, in UTC unless it has an offset.

    Raises:
        ValueError: it is none.
        OverflowError: its offset leads out of the calendar.
    """
    time = datetime.fromisoformat(text)
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // MILLISECOND
