"""Snapshots of option chains as messages of FEED."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec

from shared.bus import subjects

MAX_STRIKES: Final = 5_000
"""Of a snapshot."""
MAX_COUNT: Final = 10**14
"""Of contracts: the sums over all strikes of a snapshot fit 64 bits."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
StrikePrice: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
Price: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Score: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ChainStrike(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One strike of an option chain: an array in JSON; None for what was not sent."""

    strike_price: StrikePrice
    call_open_interest: Count
    put_open_interest: Count
    call_volume: Count | None = None
    put_volume: Count | None = None
    call_bid: Price | None = None
    call_ask: Price | None = None
    put_bid: Price | None = None
    put_ask: Price | None = None
    gamma: float | None = None
    delta: float | None = None
    theta: float | None = None
    vega: float | None = None


Strikes: TypeAlias = Annotated[list[ChainStrike], msgspec.Meta(min_length=1, max_length=MAX_STRIKES)]


class Chain(msgspec.Struct, frozen=True, omit_defaults=True):
    """A snapshot of the option chain of one symbol."""

    snapshot_id: UUID
    market_symbol: str
    timestamp: int
    """UTC epoch milliseconds."""
    data_quality_score: Score
    """When it arrived."""
    strikes: Strikes
    """In the order in which they were sent."""
    job_id: UUID | None = None

    @property
    def total_open_interest(self) -> int:
        """The open interest of all calls and puts, in contracts."""
        return sum(strike.call_open_interest + strike.put_open_interest for strike in self.strikes)

    @property
    def total_volume(self) -> int:
        """The volume of all calls and puts, in contracts; what was not sent is none."""
        return sum((strike.call_volume or 0) + (strike.put_volume or 0) for strike in self.strikes)


class LiveChain(msgspec.Struct, frozen=True, tag_field="type", tag="gex.feed.v1.chain"):
    """A message on ``gex.feed.chain.<symbol>``."""

    id: str
    """Digest of the payload without its score: the same content has the same id."""
    occurred_at: datetime
    """When intake received it (UTC)."""
    payload: Chain

    @property
    def subject(self) -> str:
        """Where the message is published."""
        return subjects.live_chain(self.payload.market_symbol)
