"""Generated minute bars: the same seed, symbol and day always have the same ones.

    market = Market({"AAPL": 1.0, "THIN": 0.05}, splits=(Split("AAPL", date(2026, 6, 8), 4),))
    market.bars("AAPL", date(2026, 6, 5))

A minute without trades has no bar. Some volumes have fractions, and a few bars lack ``vwap`` and ``trades``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from typing import Final

from shared.massive.bars import Bar
from shared.massive.sessions import Session, session_of

_EXTENDED_SHARE: Final = 0.25
"""How much less likely a trade is outside the regular session."""
_NOISE: Final = 4e-4
"""Standard deviation of one minute's move, as a share of the price."""
_FRACTION_ONE_IN: Final = 40
_BARE_ONE_IN: Final = 400
_SATURDAY: Final = 5


@dataclass(frozen=True)
class Split:
    """A split: from ``day`` on there are ``ratio`` shares in place of one."""

    symbol: str
    day: date
    ratio: int


@dataclass(frozen=True)
class Market:
    """The symbols, their days and their bars.

    Args:
        symbols: the share of the regular session's minutes in which each is traded.
        closed: holidays; weekends are closed, too.
        early: days on which the session ends early.
        splits: what happened to prices.
        seed: another one is another market.
    """

    symbols: Mapping[str, float]
    closed: frozenset[date] = frozenset()
    early: frozenset[date] = frozenset()
    splits: tuple[Split, ...] = ()
    seed: int = 1
    _days: dict[tuple[str, date], tuple[Bar, ...]] = field(default_factory=dict, compare=False, repr=False)

    def is_open(self, day: date) -> bool:
        """Return whether a day is a trading day."""
        return day.weekday() < _SATURDAY and day not in self.closed

    def session(self, day: date, *, extended: bool = True) -> Session:
        """Return the session of a trading day."""
        return session_of(day, extended=extended, closes_early=day in self.early)

    def bars(self, symbol: str, day: date, *, adjusted: bool = False) -> tuple[Bar, ...]:
        """Return a day's bars in the order of time.

        Args:
            symbol: a symbol; one that the market does not have has no bars.
            day: a day; one that is no trading day has no bars.
            adjusted: in shares of today, as REST has them by default; otherwise as they were traded.
        """
        if symbol not in self.symbols or not self.is_open(day):
            return ()
        if (symbol, day) not in self._days:
            self._days[symbol, day] = tuple(self._generate(symbol, day))
        bars = self._days[symbol, day]
        ratio = self._ratio(symbol, day) if adjusted else 1
        return bars if ratio == 1 else tuple(_adjusted(bar, ratio) for bar in bars)

    def bars_between(self, symbol: str, first: date, last: date, *, adjusted: bool = False) -> Iterator[Bar]:
        """Yield the bars of the days from ``first`` to ``last``, both included."""
        for ahead in range((last - first).days + 1):
            yield from self.bars(symbol, first + timedelta(days=ahead), adjusted=adjusted)

    def _ratio(self, symbol: str, day: date) -> int:
        """Return how many shares of today one share of a day has become."""
        return math.prod(split.ratio for split in self.splits if split.symbol == symbol and day < split.day)

    def _generate(self, symbol: str, day: date) -> Iterator[Bar]:
        source = Random(f"{self.seed}/{symbol}/{day}")
        regular = self.session(day, extended=False)
        ratio, share = self._ratio(symbol, day), self.symbols[symbol]
        price = _level(self.seed, symbol, day)
        for minute in self.session(day).minutes:
            is_regular = regular.start_ms <= minute < regular.end_ms
            price *= 1 + source.gauss(0, _NOISE)
            if source.random() < share * (1.0 if is_regular else _EXTENDED_SHARE):
                yield _bar(minute, price * ratio, source, size=4000 if is_regular else 300)


def _bar(minute: int, price: float, source: Random, size: int) -> Bar:
    opens, closes = (round(price * (1 + source.gauss(0, _NOISE)), 2) for _ in range(2))
    high = round(max(opens, closes) * (1 + abs(source.gauss(0, _NOISE))), 2)
    low = round(min(opens, closes) * (1 - abs(source.gauss(0, _NOISE))), 2)
    volume = 1.0 + int(source.expovariate(1 / size))
    if source.randrange(_FRACTION_ONE_IN) == 0:
        volume += source.randrange(1, 1000) / 1000
    if source.randrange(_BARE_ONE_IN) == 0:
        return Bar(minute, opens, high, low, closes, volume)
    vwap = round((opens + high + low + closes) / 4, 4)
    return Bar(minute, opens, high, low, closes, volume, vwap, 1 + int(volume // 120))


def _adjusted(bar: Bar, ratio: int) -> Bar:
    opens, high, low, closes = (round(price / ratio, 4) for price in (bar.open, bar.high, bar.low, bar.close))
    vwap = None if bar.vwap is None else round(bar.vwap / ratio, 4)
    return Bar(bar.timestamp, opens, high, low, closes, bar.volume * ratio, vwap, bar.trades)


@lru_cache(maxsize=4096)
def _level(seed: int, symbol: str, day: date) -> float:
    """Return the price at the start of a day, which no other day has to be generated for."""
    source = Random(f"{seed}/{symbol}")
    base, phase = source.uniform(5, 400), source.uniform(0, 2 * math.pi)
    at = day.toordinal()
    return base * math.exp(0.2 * math.sin(at / 37 + phase) + 0.03 * math.sin(at / 5.3 + phase))
