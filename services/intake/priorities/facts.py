"""The facts that conditions read: of the request, its metadata, its source, the clock and the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import DataType
from services.intake.priorities import guidelines
from shared.bus.requests import Channel
from shared.datasets import find_dataset
from shared.gexbot.source_name import SourceName, read_source_url
from shared.gexbot.trading_day import NEW_YORK
from shared.sources.record import SourceRecord

_OPENING: Final = time(9, 30)
_CLOSING: Final = time(16)
_EARLY_CLOSING: Final = time(13)

FACTS: Final[Mapping[str, str]] = {
    "source_url": "of the request, without its query",
    "data_type": "'historical', 'real_time' or 'snapshot'",
    "market_symbol": "of the request, in upper case",
    "requested_at": "when it was made, in seconds since 1970 (UTC)",
    "channel": "how it came: 'priority', 'history_url', 'backfill' or 'chronox'",
    "metadata": "of the request: metadata['name'], get(metadata, 'name', 0)",
    "volume": "metadata's, in contracts",
    "open_interest": "metadata's, in contracts",
    "gamma_change": "metadata's: the change of gamma exposure as a share of the total, 0.1 for 10 %",
    "data_age_s": "metadata's: the age of the data in seconds",
    "impact": "'high', 'medium' or 'low', by the guidelines",
    "gamma_move": "'large', 'medium' or 'small', by the guidelines",
    "freshness": "'real_time', 'fresh' or 'stale', by the guidelines",
    "ticker": "in the file's name",
    "endpoint": "in the file's name, 'gex_zero'",
    "day_age": "how many days ago the day in the file's name was, in New York; 0 is today",
    "source_reliability": "the share of successful requests to the source, 0 to 1",
    "source_response_s": "the source's mean response time in seconds",
    "ny_hour": "the hour in New York, 0 to 23",
    "ny_minute": "the minute in New York, 0 to 59",
    "ny_weekday": "the day of the week in New York, 0 is Monday",
    "session": "'before', 'open' or 'after' on a trading day, or else 'closed'",
    "queue_depth": "how many jobs wait or run",
}
"""What each name means. A fact that is not known is None."""

_OF_METADATA: Final = ("volume", "open_interest", "gamma_change", "data_age_s")


class Scorable(Protocol):
    """What conditions read of a request."""

    @property
    def source_url(self) -> str: ...
    @property
    def data_type(self) -> DataType: ...
    @property
    def market_symbol(self) -> str: ...
    @property
    def requested_at(self) -> datetime | None: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Origin:
    """How a request came, and what it says beside the file."""

    channel: Channel = Channel.HISTORY_URL
    data_type: DataType = DataType.HISTORICAL
    market_symbol: str | None = None
    """None when the client did not say."""
    requested_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Without secrets."""
    reason: str | None = None
    """Why the client names a priority."""
    client: str | None = None
    """Which, without its key."""


@dataclass(frozen=True)
class Demand:
    """A client's request for a file, as far as its priority depends on it."""

    source_url: str
    """Without its query."""
    ticker: str
    endpoint: str
    trading_day: date | None
    priority: Priority | None
    """None when the client did not say."""
    origin: Origin

    @property
    def data_type(self) -> DataType:
        """The type of data."""
        return self.origin.data_type

    @property
    def market_symbol(self) -> str:
        """The symbol that the client said, or else that of the ticker."""
        if self.origin.market_symbol:
            return self.origin.market_symbol
        dataset = find_dataset(self.endpoint)
        return dataset.symbol_of(self.ticker) if dataset else self.ticker

    @property
    def requested_at(self) -> datetime | None:
        """When the client made the request, if it says so."""
        return self.origin.requested_at

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the client said beside, without secrets."""
        return self.origin.metadata


@dataclass(frozen=True)
class Surroundings:
    """What is known apart from the request.

    Args:
        now: the present moment.
        source: the health record of the request's source, if it has one.
        is_trading_day: whether there is trading today in New York.
        closes_early: whether it ends at 13:00.
        queue_depth: how many jobs wait or run.
    """

    now: datetime
    source: SourceRecord | None = None
    is_trading_day: bool = True
    closes_early: bool = False
    queue_depth: int = 0


def facts_of(request: Scorable, around: Surroundings) -> dict[str, Any]:
    """Return the value of every fact."""
    local = around.now.astimezone(NEW_YORK)
    found = {name: _number(request.metadata.get(name)) for name in _OF_METADATA}
    name = _name_in(request)
    return {
        **found,
        "source_url": request.source_url.partition("?")[0],
        "data_type": str(request.data_type),
        "market_symbol": request.market_symbol,
        "requested_at": (request.requested_at or around.now).timestamp(),
        "channel": str(request.origin.channel if isinstance(request, Demand) else Channel.PRIORITY),
        "metadata": request.metadata,
        "impact": _text(guidelines.impact(found["volume"], found["open_interest"])),
        "gamma_move": _text(guidelines.gamma_move(found["gamma_change"])),
        "freshness": _text(guidelines.freshness(found["data_age_s"])),
        "ticker": name.ticker,
        "endpoint": name.endpoint,
        "day_age": (local.date() - name.trading_day).days if name.trading_day else None,
        "source_reliability": around.source.reliability if around.source else None,
        "source_response_s": around.source.mean_response_s if around.source else None,
        "ny_hour": local.hour,
        "ny_minute": local.minute,
        "ny_weekday": local.weekday(),
        "session": _session(local, around),
        "queue_depth": around.queue_depth,
    }


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: str | None) -> str | None:
    return None if value is None else str(value)


def _name_in(request: Scorable) -> SourceName:
    if isinstance(request, Demand):
        return SourceName("", request.trading_day, request.ticker, endpoint=request.endpoint)
    try:
        return read_source_url(urlsplit(request.source_url))
    except ValueError:
        return SourceName("")


def _session(local: datetime, around: Surroundings) -> str:
    if not around.is_trading_day:
        return "closed"
    if local.time() < _OPENING:
        return "before"
    return "open" if local.time() < (_EARLY_CLOSING if around.closes_early else _CLOSING) else "after"
