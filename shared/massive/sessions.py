"""The hours in which the vendor has minute bars of a trading day, in New York's time.

Which days are trading days, and which of them close early, is for the caller to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

from shared.gexbot.trading_day import NEW_YORK
from shared.massive.bars import MINUTE_MS

_REGULAR: Final = (time(9, 30), time(16))
_REGULAR_EARLY: Final = (time(9, 30), time(13))
_EXTENDED: Final = (time(4), time(20))
_EXTENDED_EARLY: Final = (time(4), time(17))


@dataclass(frozen=True)
class Session:
    """The minutes of a trading day, from ``start_ms`` up to but not including ``end_ms``.

    Args:
        start_ms: the first minute, UTC epoch milliseconds.
        end_ms: the end of the last minute.
    """

    start_ms: int
    end_ms: int

    @property
    def minutes(self) -> range:
        """The starts of its minutes, UTC epoch milliseconds."""
        return range(self.start_ms, self.end_ms, MINUTE_MS)


def session_of(day: date, *, extended: bool, closes_early: bool) -> Session:
    """Return the session of a trading day.

    Args:
        day: the trading day.
        extended: with pre-market (from 04:00) and after hours (to 20:00, or 17:00 after an early close).
        closes_early: whether the regular session ends at 13:00 and not at 16:00.
    """
    hours = (_EXTENDED, _EXTENDED_EARLY) if extended else (_REGULAR, _REGULAR_EARLY)
    start, end = hours[closes_early]
    return Session(_ms(day, start), _ms(day, end))


def _ms(day: date, at: time) -> int:
    return int(datetime.combine(day, at, tzinfo=NEW_YORK).timestamp()) * 1000
