"""Minute bars in the lake: what it has of symbols and days, and the gaps; over NATS, and in routes."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, PlainSerializer

from gexlake.api.lake import Request, Response
from gexlake.api.rpc import Endpoint

MAX_SYMBOLS: Final = 10_000
MAX_DAYS: Final = 6000
"""Trading days of one search for gaps: more than the vendor's history has."""

MAX_GAPS: Final = 2000
"""Gaps in one response: it has at most 1 MB."""
MAX_REASON: Final = 200

Moment = Annotated[AwareDatetime, PlainSerializer(datetime.isoformat, when_used="json")]


class DayRange(Response):
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date


class BarCoverageRequest(Request):
    """Which symbols, and which days; a response has room for about 1,000 symbols of two years."""

    symbols: tuple[str, ...] = Field(max_length=MAX_SYMBOLS)
    first: date
    last: date


class SymbolCoverage(Response):
    """What the lake has of a symbol's bars as traded, within the days of the request."""

    symbol: str
    bars: int
    first_bar: Moment | None = Field(None, description="start of its first minute")
    last_bar: Moment | None = Field(None, description="start of its last minute")
    complete: tuple[DayRange, ...] = Field(
        (),
        description="weekdays of which the lake has all that the vendor has; weekends between them count",
    )


class BarCoverageResponse(Response):
    """One entry a symbol of the request."""

    symbols: tuple[SymbolCoverage, ...]


class GapStatus(StrEnum):
    """What became of missing minutes."""

    OPEN = "open"
    """They are missing; the vendor was not asked yet, or its answer has not arrived."""
    FILLED = "filled"
    """Their bars have arrived since."""
    NO_TRADES = "no_trades"
    """The vendor was asked: nothing was traded in them."""
    UNFILLABLE = "unfillable"
    """The vendor refuses to answer; it is not asked again by itself."""


class Gap(Response):
    """Minutes of a session that follow one another, in which a symbol has no bar."""

    symbol: str
    start: Moment = Field(description="start of the first missing minute")
    end: Moment = Field(description="end of the last missing minute")
    missing: int = Field(description="how many minutes")
    status: GapStatus
    detected_at: Moment
    resolved_at: Moment | None = None
    attempts: int = Field(0, description="how often a fill was queued")
    reason: str | None = Field(None, description="why it cannot be filled")


class GapsRequest(Request):
    """Which gaps; the oldest first."""

    symbol: str | None = None
    status: GapStatus | None = None
    limit: int = Field(1000, ge=1, le=MAX_GAPS)


class GapsResponse(Response):
    """Gaps, and how many there are."""

    gaps: tuple[Gap, ...]
    total_count: int = Field(description="how many gaps fit the filters")
    missing_minutes: int = Field(description="of all of these")
    truncated: bool = Field(description="whether there are more than the limit")


class TradingDay(Response):
    """A day on which the exchange trades."""

    day: date
    closes_early: bool = False


class DetectGapsRequest(Request):
    """Which symbols and sessions to look at: the sender knows the registry and the exchange's calendar."""

    symbols: tuple[str, ...] = Field(max_length=MAX_SYMBOLS)
    days: tuple[TradingDay, ...] = Field(max_length=MAX_DAYS)
    extended: bool = False
    """Whether pre-market and after hours count, too."""
    max_fills: int = Field(1000, ge=0, le=10_000)
    from_the_start: bool = False
    """Whether minutes before a symbol's first bar and its registration count, too."""
    again: bool = False
    """Ask also for gaps that were asked for recently, and for those that the vendor refused."""


class Fill(Response):
    """Days of a symbol with open gaps, to be asked of the vendor."""

    symbol: str
    first: date
    last: date
    missing: int


class DetectGapsResponse(Response):
    """What was found, and what to ask of the vendor."""

    detected: int = Field(description="gaps that were not known before")
    open: int
    missing_minutes: int = Field(description="of all open gaps")
    resolved: int = Field(description="gaps that were open before and are not any more")
    fills: tuple[Fill, ...] = Field(
        description="ranges of at most 31 days, the oldest gaps first; they count as asked for now"
    )
    fills_left: int = Field(0, description="how many more there are, which do not count as asked for")
    by_status: dict[GapStatus, int] = Field(default_factory=dict, description="how many gaps there are")
    truncated: bool = Field(
        default=False, description="whether only the earlier days were looked at, because there are many gaps"
    )
    seconds: float


BAR_COVERAGE: Final = Endpoint(
    "bar_coverage", "gex.svc.lake.bar_coverage", BarCoverageRequest, BarCoverageResponse
)
GAPS: Final = Endpoint("gaps", "gex.svc.lake.gaps", GapsRequest, GapsResponse)
DETECT_GAPS: Final = Endpoint(
    "detect_gaps",
    "gex.svc.lake.detect_gaps",
    DetectGapsRequest,
    DetectGapsResponse,
    description="Compare the minutes of trading sessions with the stored bars, and note what is missing",
)
