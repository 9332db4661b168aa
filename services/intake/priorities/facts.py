"""The facts that conditions read: of the request, its metadata, its source, the clock and the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final
from urllib.parse import urlsplit

from gexlake.api.rules import EvaluationRequest
from services.intake.priorities import guidelines
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


def facts_of(request: EvaluationRequest, around: Surroundings) -> dict[str, Any]:
    """Return the value of every fact."""
    local = around.now.astimezone(NEW_YORK)
    found = {name: _number(request.metadata.get(name)) for name in _OF_METADATA}
    name = _name_in(request.source_url)
    return {
        **found,
        "source_url": request.source_url.partition("?")[0],
        "data_type": str(request.data_type),
        "market_symbol": request.market_symbol,
        "requested_at": (request.requested_at or around.now).timestamp(),
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


def _name_in(url: str) -> SourceName:
    try:
        return read_source_url(urlsplit(url))
    except ValueError:
        return SourceName("")


def _session(local: datetime, around: Surroundings) -> str:
    if not around.is_trading_day:
        return "closed"
    if local.time() < _OPENING:
        return "before"
    return "open" if local.time() < (_EARLY_CLOSING if around.closes_early else _CLOSING) else "after"
