"""What a client asks for when it reads a range of stored snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlencode

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from services.intake.errors import Unprocessable
from services.intake.snapshots.times import MAX_MS, iso_of, read_end, read_start
from shared.gexbot.partition import PACKAGES, normalize_ticker
from shared.gexbot.trading_day import bounds_ms, trading_day_of

ENDPOINTS: Final = PACKAGES["classic"]
"""The endpoints that have snapshots of this form."""
MAX_SNAPSHOTS: Final = 10_000
"""The maximum number of snapshots of a page."""
MAX_WITH_STRIKES: Final = 250
"""The maximum number of snapshots of a page with strikes: some 130 of 100 strikes fit into an answer."""
DEFAULT_SNAPSHOTS: Final = 1000


def _endpoint(text: str) -> str:
    endpoint = text.strip().lower()
    if endpoint not in ENDPOINTS:
        raise ValueError(f"{text[:40]!r} has no snapshots of this form: use one of {', '.join(ENDPOINTS)}")
    return endpoint


class _Query(BaseModel):
    """The parameters as they are sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ticker: Annotated[str, AfterValidator(normalize_ticker)] = Field(
        validation_alias=AliasChoices("ticker", "symbol")
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] = "gex_zero"
    start: Annotated[int, BeforeValidator(read_start)] | None = None
    end: Annotated[int, BeforeValidator(read_end)] | None = None
    limit: int = Field(DEFAULT_SNAPSHOTS, ge=1, le=MAX_SNAPSHOTS)
    cursor: int | None = Field(None, ge=0, le=MAX_MS)
    strikes: bool = False
    source: Literal["history", "live"] | None = None


@dataclass(frozen=True)
class SnapshotsRequest:
    """A half-open range of one ticker and endpoint.

    Args:
        ticker: whose snapshots.
        endpoint: the GEX category.
        start_ms: the first millisecond, as a UTC epoch.
        end_ms: the first one after the range.
        limit: the maximum number of snapshots of a page.
        after_ms: the last snapshot of the page before.
        strikes: whether each snapshot carries its strikes.
        source: only rows of ``history`` or ``live``.
    """

    ticker: str
    endpoint: str
    start_ms: int
    end_ms: int
    limit: int = DEFAULT_SNAPSHOTS
    after_ms: int | None = None
    strikes: bool = False
    source: str | None = None

    @classmethod
    def read(cls, query: Mapping[str, str], now: datetime) -> Self:
        """Read the parameters of a query.

        Without ``end``, the range has no end; without ``start``, it begins with the trading day of its end,
        or with today's.

        Raises:
            Unprocessable: a parameter is missing, unknown or breaks a rule.
        """
        try:
            asked = _Query.model_validate(dict(query))
        except ValidationError as error:
            raise Unprocessable.first_of(error.errors(include_url=False)) from error
        end_ms = MAX_MS if asked.end is None else asked.end
        start_ms = _day_before(asked.end, now) if asked.start is None else asked.start
        if start_ms > end_ms:
            raise Unprocessable("start", "range", f"start: {start_ms} is after the end, {end_ms}")
        return cls(
            ticker=asked.ticker,
            endpoint=asked.endpoint,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=min(asked.limit, MAX_WITH_STRIKES) if asked.strikes else asked.limit,
            after_ms=asked.cursor,
            strikes=asked.strikes,
            source=asked.source,
        )

    @property
    def first_ms(self) -> int:
        """The first millisecond that is still to be read."""
        return self.start_ms if self.after_ms is None else max(self.start_ms, self.after_ms + 1)

    def parameters(self, after_ms: int) -> str:
        """Return the query of the page after a snapshot."""
        named: dict[str, Any] = {
            "ticker": self.ticker,
            "endpoint": self.endpoint,
            "start": iso_of(self.start_ms),
            **({"end": iso_of(self.end_ms)} if self.end_ms < MAX_MS else {}),
            "limit": self.limit,
            "cursor": after_ms,
            **({"strikes": "true"} if self.strikes else {}),
            **({"source": self.source} if self.source else {}),
        }
        return urlencode(named)


_LAST_DAY_MS: Final = bounds_ms(date(9999, 12, 30))[0]


def _day_before(end_ms: int | None, now: datetime) -> int:
    """Return where the trading day begins that holds the last millisecond before an end, or now."""
    last_ms = int(now.timestamp() * 1000) if end_ms is None else max(0, end_ms - 1)
    return bounds_ms(trading_day_of(min(last_ms, _LAST_DAY_MS)))[0]
