"""What a backfill fetches: values in, the vendor's resources out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final

from gexlake.api.chronox.bars import DayRange
from gexlake.api.chronox.symbols import RegisteredSymbol, Strategy
from services.intake.chronox.errors import PhaseFailed
from services.intake.market_days import days_between, why_closed
from shared.gexbot.trading_day import NEW_YORK
from shared.massive.resources import FlatFile, MinuteBars

HISTORY_START: Final = "history_start"
"""The metadata of a symbol that names the first day of its history."""
_FIRST_DAY: Final = date(2003, 1, 1)
"""The vendor has no bar before."""
_FILES_AT: Final = time(11, 30)
"""When the flat file of a day is there, in New York on the next day: around 11:00."""


class Way(StrEnum):
    """How bars are fetched."""

    REST = "rest"
    FILES = "flat_files"


@dataclass(frozen=True)
class Asked:
    """The days that a run asks for.

    Args:
        start: as the request names it; None if it does not.
        end: likewise.
        adjusted: whether adjusted bars are fetched, too.
    """

    start: date | None = None
    end: date | None = None
    adjusted: bool = False


def history_of(symbol: RegisteredSymbol, asked: Asked, now: datetime, history_days: int) -> DayRange:
    """Return the first and the last day of a backfill; it has no day if the last is before the first.

    Args:
        symbol: its ``metadata.history_start`` counts unless the request names a start.
        asked: the request.
        now: the present moment.
        history_days: how many days before today, in New York, a history begins by default.

    Raises:
        PhaseFailed: ``metadata.history_start`` is not a day.
    """
    today = now.astimezone(NEW_YORK).date()
    last = min(asked.end or today - timedelta(days=1), today)
    first = asked.start or _own_start(symbol) or today - timedelta(days=history_days)
    return DayRange(first=min(max(first, _FIRST_DAY), today), last=last)


def plan_backfill(
    symbol: str,
    way: Way,
    days: DayRange,
    complete: Sequence[DayRange],
    now: datetime,
    *,
    adjusted: bool,
) -> tuple[MinuteBars | FlatFile, ...]:
    """Return what to fetch, the newest days first.

    Days without trading, and those that the lake has completely, are left out. A day whose flat file cannot
    be there yet is fetched by REST.
    """
    trading = [day for day in days_between(days.first, days.last) if why_closed(day) is None]
    missing = [day for day in trading if not any(known.first <= day <= known.last for known in complete)]
    filed_to = last_filed(now) if way is Way.FILES else date.min
    filed = [day for day in missing if day <= filed_to]
    by_rest = [day for day in missing if day > filed_to]
    found: list[MinuteBars | FlatFile] = [FlatFile(day) for day in filed]
    found += _by_month(symbol, by_rest, adjusted=False)
    if adjusted:  # the lake does not know which of those it has completely
        found += _by_month(symbol, trading, adjusted=True)
    return tuple(sorted(found, key=_last_day, reverse=True))


def last_filed(now: datetime) -> date:
    """Return the last day whose flat file can be there."""
    local = now.astimezone(NEW_YORK)
    return local.date() - timedelta(days=1 if local.time() >= _FILES_AT else 2)


def way_of(strategy: Strategy, *, has_file_keys: bool) -> Way:
    """Return how a strategy fetches history: without the keys of flat files, by REST."""
    return Way.FILES if has_file_keys and strategy is not Strategy.FLATPACK_API else Way.REST


def _by_month(symbol: str, days: Iterable[date], *, adjusted: bool) -> list[MinuteBars]:
    months = groupby(days, key=lambda day: (day.year, day.month))
    ranges = [list(of_month) for _, of_month in months]
    return [MinuteBars(symbol, found[0], found[-1], adjusted=adjusted) for found in ranges]


def _last_day(resource: MinuteBars | FlatFile) -> date:
    return resource.day if isinstance(resource, FlatFile) else resource.last


def _own_start(symbol: RegisteredSymbol) -> date | None:
    text = symbol.metadata.get(HISTORY_START)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise PhaseFailed(
            f"metadata.{HISTORY_START}: {str(text)[:40]!r} is not a day: write it like 2024-01-02"
        ) from None
