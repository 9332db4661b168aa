"""How good a snapshot of an option chain is, from 0 to 1. Pure functions; docs/live.md has the formula."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from shared.bus.feeds.chain_messages import ChainStrike

WEIGHT_OF_COMPLETENESS: Final = 0.4
WEIGHT_OF_ORDER: Final = 0.1
WEIGHT_OF_DISTINCTNESS: Final = 0.1
WEIGHT_OF_QUOTES: Final = 0.2
WEIGHT_OF_FRESHNESS: Final = 0.2
"""They add up to 1."""
REAL_TIME_S: Final = 5.0
"""Up to this age a snapshot is as fresh as it can be."""
STALE_S: Final = 300.0
"""From this age on it is not fresh at all."""
OPTIONAL_FIELDS: Final = ChainStrike.__struct_fields__[3:]
_DIGITS: Final = 4


def quality_of(strikes: Sequence[ChainStrike], age_s: float) -> float:
    """Return the score of a snapshot.

    Args:
        strikes: in the order in which they were sent, at least one.
        age_s: how long before its arrival the snapshot was taken; negative if its clock is ahead.
    """
    score = (
        WEIGHT_OF_COMPLETENESS * completeness_of(strikes)
        + WEIGHT_OF_ORDER * order_of(strikes)
        + WEIGHT_OF_DISTINCTNESS * distinctness_of(strikes)
        + WEIGHT_OF_QUOTES * quotes_of(strikes)
        + WEIGHT_OF_FRESHNESS * freshness_of(age_s)
    )
    return round(min(score, 1.0), _DIGITS)


def completeness_of(strikes: Sequence[ChainStrike]) -> float:
    """Return the share of the optional values of all strikes that were sent."""
    sent = sum(getattr(strike, name) is not None for strike in strikes for name in OPTIONAL_FIELDS)
    return sent / (len(strikes) * len(OPTIONAL_FIELDS))


def order_of(strikes: Sequence[ChainStrike]) -> float:
    """Return the share of strikes that are not below the one before them."""
    descents = sum(after.strike_price < before.strike_price for before, after in pairwise(strikes))
    return 1 - descents / len(strikes)


def distinctness_of(strikes: Sequence[ChainStrike]) -> float:
    """Return the share of strikes whose price no strike before them has."""
    return len({strike.strike_price for strike in strikes}) / len(strikes)


def quotes_of(strikes: Sequence[ChainStrike]) -> float:
    """Return the share of quotes with both prices whose bid is not above the ask; 1 if there are none."""
    quotes = [
        (bid, ask)
        for strike in strikes
        for bid, ask in ((strike.call_bid, strike.call_ask), (strike.put_bid, strike.put_ask))
        if bid is not None and ask is not None
    ]
    crossed = sum(bid > ask for bid, ask in quotes)
    return 1 - crossed / len(quotes) if quotes else 1.0


def freshness_of(age_s: float) -> float:
    """Return 1 up to ``REAL_TIME_S``, and from there on less, down to 0 at ``STALE_S``."""
    return min(1.0, max(0.0, (STALE_S - age_s) / (STALE_S - REAL_TIME_S)))
