"""Read the body of ``POST /api/v1/snapshots`` into a ``Chain``."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec

from services.intake.chains.quality import quality_of
from services.intake.chains.refusals import refusal_of
from services.intake.epochs import EPOCH, MILLISECOND
from services.intake.errors import Unprocessable
from shared.bus.feeds.chain_messages import MAX_STRIKES, Chain, ChainStrike
from shared.gexbot.partition import normalize_ticker
from shared.gexbot.trading_day import NEW_YORK

EARLIEST: Final = date(2000, 1, 1)
_CONTENT: Final = UUID("5d1c3f0e-8a53-4f0f-9b8e-0c1f5a6f2d11")
"""The namespace of ids that are derived from the content."""


class StrikeBody(ChainStrike, frozen=True, array_like=False, forbid_unknown_fields=True, gc=False):
    """One strike as clients send it: an object."""


class ChainBody(msgspec.Struct, forbid_unknown_fields=True):
    """A snapshot as clients send it."""

    market_symbol: str
    snapshot_date: date
    snapshot_time: str
    strikes: Annotated[list[StrikeBody], msgspec.Meta(min_length=1, max_length=MAX_STRIKES)]
    snapshot_id: UUID | None = None
    job_id: UUID | None = None
    total_open_interest: int | None = None
    total_volume: int | None = None


_DECODER: Final = msgspec.json.Decoder(ChainBody)
_ENCODER: Final = msgspec.json.Encoder()


def read_chain(body: bytes, now: datetime) -> Chain:
    """Return the snapshot that a body holds, with its id and its score.

    Args:
        body: a JSON object.
        now: when it arrived (UTC).

    Raises:
        BadRequest: it is no JSON object.
        Unprocessable: a field is missing, unknown or unusable; the error names it.
    """
    try:
        posted = _DECODER.decode(body)
    except (ValueError, RecursionError) as error:  # msgspec's errors, and text that is not UTF-8
        raise refusal_of(error) from error
    symbol = _read_symbol(posted.market_symbol)
    moment = _read_moment(posted, now)
    timestamp = (moment - EPOCH) // MILLISECOND
    strikes = [ChainStrike(*msgspec.structs.astuple(strike)) for strike in posted.strikes]
    chain = Chain(
        snapshot_id=posted.snapshot_id or _content_id(symbol, timestamp, posted.job_id, strikes),
        market_symbol=symbol,
        timestamp=timestamp,
        data_quality_score=quality_of(strikes, (now - moment).total_seconds()),
        strikes=strikes,
        job_id=posted.job_id,
    )
    _check_total("total_open_interest", posted.total_open_interest, chain.total_open_interest)
    _check_total("total_volume", posted.total_volume, chain.total_volume)
    return chain


def _read_symbol(text: str) -> str:
    try:
        return normalize_ticker(text)
    except ValueError as error:
        raise Unprocessable("market_symbol", "ticker", f"market_symbol: {error}") from error


def _read_moment(posted: ChainBody, now: datetime) -> datetime:
    """Return when a snapshot was taken: in New York, unless its time has an offset."""
    day = posted.snapshot_date
    try:
        moment = datetime.combine(day, time.fromisoformat(posted.snapshot_time.strip()))
    except ValueError:
        message = (
            f"snapshot_time: {posted.snapshot_time!r:.40} is no time: send 10:30:00 for New York, or with an "
            "offset, such as 15:30:00Z"
        )
        raise Unprocessable("snapshot_time", "time", message) from None
    if day < EARLIEST:
        raise _too_early(day)
    try:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)).astimezone(NEW_YORK)
    except OverflowError:  # the end of the calendar
        raise _in_future(day, now) from None
    if moment.date() < EARLIEST:  # with an offset, it is the day before in New York
        raise _too_early(moment.date())
    if moment.date() > now.astimezone(NEW_YORK).date():
        raise _in_future(day, now)
    return moment


def _too_early(day: date) -> Unprocessable:
    return Unprocessable("snapshot_date", "range", f"snapshot_date: {day} in New York is before {EARLIEST}")


def _in_future(day: date, now: datetime) -> Unprocessable:
    today = now.astimezone(NEW_YORK).date()
    message = f"snapshot_date: {day} is in the future: it is {today} in New York"
    return Unprocessable("snapshot_date", "future", message)


def _content_id(symbol: str, timestamp: int, job_id: UUID | None, strikes: list[ChainStrike]) -> UUID:
    return uuid5(_CONTENT, _ENCODER.encode((symbol, timestamp, job_id, strikes)).decode())


def _check_total(field: str, posted: int | None, total: int) -> None:
    if posted is not None and posted != total:
        message = f"{field}: it is {posted}, but the strikes add up to {total}: correct it or leave it out"
        raise Unprocessable(field, "sum", message)
