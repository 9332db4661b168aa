"""The firm guidelines in words: the impact of a request, the change of gamma, and how fresh the data is."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

_HIGH_VOLUME: Final = 50_000
_HIGH_OPEN_INTEREST: Final = 100_000
_MEDIUM_VOLUME: Final = 10_000
_MEDIUM_OPEN_INTEREST: Final = 25_000
_LARGE_CHANGE: Final = 0.10
_MEDIUM_CHANGE: Final = 0.05
_REAL_TIME_S: Final = 5.0
_FRESH_S: Final = 300.0


class Impact(StrEnum):
    """How much of the market a request is about."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class GammaMove(StrEnum):
    """How large the change of gamma exposure is."""

    LARGE = "large"
    MEDIUM = "medium"
    SMALL = "small"


class Freshness(StrEnum):
    """How old the data is."""

    REAL_TIME = "real_time"
    FRESH = "fresh"
    STALE = "stale"


def impact(volume: float | None, open_interest: float | None) -> Impact | None:
    """Return the impact; None if neither is known.

    Args:
        volume: in contracts.
        open_interest: in contracts.
    """
    if volume is None and open_interest is None:
        return None
    traded, held = volume or 0, open_interest or 0
    if traded > _HIGH_VOLUME or held > _HIGH_OPEN_INTEREST:
        return Impact.HIGH
    if traded >= _MEDIUM_VOLUME or held >= _MEDIUM_OPEN_INTEREST:
        return Impact.MEDIUM
    return Impact.LOW


def gamma_move(change: float | None) -> GammaMove | None:
    """Return the size of a change of gamma; None if it is not known.

    Args:
        change: of either sign, as a share of the total.
    """
    if change is None:
        return None
    if abs(change) > _LARGE_CHANGE:
        return GammaMove.LARGE
    return GammaMove.MEDIUM if abs(change) >= _MEDIUM_CHANGE else GammaMove.SMALL


def freshness(age_s: float | None) -> Freshness | None:
    """Return how fresh data of an age in seconds is; None if the age is not known."""
    if age_s is None:
        return None
    if age_s < _REAL_TIME_S:
        return Freshness.REAL_TIME
    return Freshness.FRESH if age_s < _FRESH_S else Freshness.STALE
