"""A model of a session: spot is a random walk, and trades build up gamma at the strikes around it.

Figures are in hundredths, as integers: their sums are exact and their text needs no rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

LEVELS: Final = {"NQ_NDX": (25_000, 10), "NDX": (25_000, 10), "ES_SPX": (6_850, 5), "SPX": (6_850, 5)}
"""A ticker's opening spot and the distance between its strikes, in points."""

DEFAULT_LEVEL: Final = (6_850, 5)

_VOLATILITY: Final = 6e-5
"""Standard deviation of one second's move, as a share of spot: about 1 % over a session."""
_PULL: Final = 2e-5
"""Share of the distance to the opening level by which spot reverts each second."""
_GAMMA_WIDTH: Final = 14
"""Distance from spot, in strikes, at which gamma has fallen to a quarter."""
_TRADES: Final = 4
"""Trades in each step, each on one strike near spot; their size is proportional to the step."""


@dataclass(frozen=True)
class Profile:
    """The figures of one moment; both lists have one element for each strike, in hundredths."""

    spot: float
    by_volume: list[int]
    by_open_interest: list[int]
    risk_reversal: float


def strikes_around(ticker: str, count: int) -> list[int]:
    """Return ``count`` strikes around the level at which a ticker opens, the lowest first."""
    level, step = LEVELS.get(ticker, DEFAULT_LEVEL)
    lowest = level - step * (count // 2)
    return [lowest + step * index for index in range(count)]


def profiles(ticker: str, strikes: Sequence[int], source: Random, step_s: float = 1.0) -> Iterator[Profile]:
    """Yield one profile for every ``step_s`` seconds, without end; the same source gives the same session."""
    level, step = LEVELS.get(ticker, DEFAULT_LEVEL)
    width = step * _GAMMA_WIDTH
    interest = [_open_interest(strike - level, width, source) for strike in strikes]
    volume = [0.0] * len(strikes)
    spot, tilt, spread = float(level), 0.12, step_s**0.5
    while True:
        spot += source.gauss(0, level * _VOLATILITY * spread) + (level - spot) * _PULL * step_s
        tilt += source.gauss(0, 0.0006 * spread) + (0.12 - tilt) * 0.002 * step_s
        for _ in range(_TRADES):
            _trade(volume, strikes, spot, step, step_s, source)
        gamma = [(1 + ((strike - spot) / width) ** 2) ** -2 for strike in strikes]
        yield Profile(
            spot=round(spot, 2),
            by_volume=[int(held * weight) for held, weight in zip(volume, gamma, strict=True)],
            by_open_interest=[int(held * weight) for held, weight in zip(interest, gamma, strict=True)],
            risk_reversal=round(tilt, 3),
        )


def _open_interest(distance: int, width: int, source: Random) -> float:
    """Return the open interest at the open: calls above spot, puts below, more at round distances."""
    roundness = 2.5 if distance % 50 == 0 else 1.0
    side = 1 if distance + source.gauss(0, width / 3) > 0 else -1
    return side * roundness * source.uniform(20_000, 900_000)


def _trade(
    volume: list[float], strikes: Sequence[int], spot: float, step: int, share: float, source: Random
) -> None:
    """Add ``share`` of one trade: mostly calls above spot and puts below it."""
    strike = spot + source.gauss(0, 12 * step)
    index = round((strike - strikes[0]) / step)
    if 0 <= index < len(strikes):
        side = 1 if strike - spot + source.gauss(0, 6 * step) > 0 else -1
        volume[index] += side * share * source.expovariate(1 / 9_000)
