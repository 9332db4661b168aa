"""Read the body of ``POST /backfill``: tickers, endpoints and a range in, partitions to ask for out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)

from gexlake.api.jobs import Priority
from services.intake.errors import Unprocessable
from services.intake.history.body_fields import check_reason
from services.intake.market_days import days_between, early_close, is_weekend, why_closed
from shared.gexbot.partition import Partition, normalize_endpoint, normalize_ticker

MAX_JOBS: Final = 1000
"""How many days of all tickers and endpoints one request may ask for."""
MAX_SPAN_DAYS: Final = 3660
"""How far apart the first and the last day may be: ten years."""


@dataclass(frozen=True)
class NamedDay:
    """A day on which the exchange does not do as usual, and why."""

    day: date
    why: str


@dataclass(frozen=True)
class BackfillRequest:
    """Days of history that a client wants in the lake."""

    tickers: tuple[str, ...]
    endpoints: tuple[str, ...]
    trading_days: tuple[date, ...]
    """In order, without the days on which there is no trading."""
    closed: tuple[NamedDay, ...] = ()
    """Those days; of a range, its weekends are not among them."""
    priority: Priority | None = None
    """None when the client did not say: the rules decide."""
    client: str | None = None
    """Which, without its key."""
    force: bool = False
    """Ask for what the lake holds, and for what the vendor had no data for, too."""
    reason: str | None = None
    dry_run: bool = False

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """All that is asked for, the oldest days first: the vendor drops them first."""
        return tuple(
            Partition(ticker, endpoint, day)
            for day in self.trading_days
            for ticker in self.tickers
            for endpoint in self.endpoints
        )

    @property
    def early_closes(self) -> tuple[NamedDay, ...]:
        """The trading days that end early."""
        return tuple(NamedDay(day, why) for day in self.trading_days if (why := early_close(day)))


def read_backfill_request(body: dict[str, Any], today: date, client: str | None = None) -> BackfillRequest:
    """Read a body.

    Args:
        body: the object that was posted.
        today: the date in New York.
        client: which client posted it, without its key.

    Raises:
        Unprocessable: a field is missing or breaks a rule; the error names it.
    """
    try:
        asked = _Body.model_validate(body)
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors(include_url=False, include_input=False)) from error
    days = _asked_days(asked, today)
    request = BackfillRequest(
        tickers=asked.tickers,
        endpoints=asked.endpoints,
        trading_days=tuple(day for day in days if why_closed(day) is None),
        closed=tuple(
            NamedDay(day, why)
            for day in days
            if (why := why_closed(day)) and (asked.days is not None or not is_weekend(day))
        ),
        priority=asked.priority,
        client=client,
        force=asked.force,
        reason=check_reason(asked.reason, force=asked.force),
        dry_run=asked.dry_run,
    )
    _check_count(request, "start" if asked.days is None else "days")
    return request


def _listed(value: Any) -> Sequence[str]:
    """Return a list of texts; one text stands for a list of one."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise ValueError("it must be a text or a list of texts")
    if not listed:
        raise ValueError("the list is empty")
    return listed


def _read_day(value: Any) -> date:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise ValueError(f"{str(value)[:40]!r} is not a day: write it like 2025-11-14")
    return day


def _tickers(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(normalize_ticker(text) for text in _listed(value)))


def _endpoints(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(normalize_endpoint(text) for text in _listed(value)))


def _days(value: Any) -> tuple[date, ...]:
    return tuple(sorted({_read_day(text) for text in _listed(value)}))


Tickers = Annotated[tuple[str, ...], BeforeValidator(_tickers)]
Endpoints = Annotated[tuple[str, ...], BeforeValidator(_endpoints)]
Days = Annotated[tuple[date, ...], BeforeValidator(_days)]
Day = Annotated[date, BeforeValidator(_read_day)]


class _Body(BaseModel):
    """The body as it is posted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tickers: Tickers = Field(validation_alias=AliasChoices("tickers", "ticker"))
    endpoints: Endpoints = Field(validation_alias=AliasChoices("endpoints", "endpoint"))
    start: Day | None = None
    end: Day | None = None
    days: Days | None = None
    priority: Priority | None = None
    force: StrictBool = False
    reason: str | None = None
    dry_run: StrictBool = False


def _asked_days(asked: _Body, today: date) -> list[date]:
    """Return every day that is asked for, in order, trading or not."""
    if asked.days is not None:
        if asked.start or asked.end:
            raise Unprocessable("days", "range", "days: give either days, or start and end")
        _check_span("days", asked.days[0], asked.days[-1], today)
        return list(asked.days)
    if asked.start is None or asked.end is None:
        field = "end" if asked.start else "start"
        raise Unprocessable(field, "missing", f"{field}: give start and end, or a list of days")
    if asked.start > asked.end:
        raise Unprocessable("start", "range", f"start: {asked.start} is after the end, {asked.end}")
    _check_span("end", asked.start, asked.end, today)
    return list(days_between(asked.start, asked.end))


def _check_span(field: str, first: date, last: date, today: date) -> None:
    if last > today:
        message = f"{field}: {last} is in the future (in New York it is {today})"
        raise Unprocessable(field, "future", message)
    if (last - first).days > MAX_SPAN_DAYS:
        raise Unprocessable(field, "range", f"{field}: from {first} to {last} is more than ten years")


def _check_count(request: BackfillRequest, field: str) -> None:
    days, tickers, endpoints = len(request.trading_days), len(request.tickers), len(request.endpoints)
    jobs = days * tickers * endpoints
    if jobs > MAX_JOBS:
        counted = f"{days} trading days of {tickers} tickers and {endpoints} endpoints are {jobs} jobs"
        message = f"{field}: {counted}; at most {MAX_JOBS} may be asked for at once"
        raise Unprocessable(field, "too_many", message)
