"""Messages of CHRONOX, decoded, and held against what a correct bar is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from services.importer.bars.complete_days import MAX_DAYS, CompleteDays
from shared.bus.feeds import bar_messages
from shared.bus.feeds.bar_messages import BarsMessage, ChronoxMessage
from shared.errors import MalformedMessage
from shared.gexbot.trading_day import trading_day_of
from shared.massive.bars import fault_of
from shared.massive.snapshots import MarketSnapshot, fault_of_snapshot
from shared.massive.symbols import check_symbol

_HOUR_MS: Final = 3_600_000
_MS_NS: Final = 1_000_000


class BarRow(NamedTuple):
    """A bar as a batch has it; the fields are columns of ``recent_bars``, and how it competes with others."""

    symbol: str
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    trades: int | None
    source: str
    adjusted: bool
    received_at: datetime
    trading_day: date
    rank: int
    place: int
    """Its place in the batch: of equal ranks, the later one is kept."""


class SnapshotRow(NamedTuple):
    """A row of ``snapshots``."""

    symbol: str
    timestamp: int
    minute: int | None
    minute_close: float | None
    minute_volume: float | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    vwap: float | None
    previous_close: float | None
    change: float | None
    change_percent: float | None
    trade_price: float | None
    trade_size: float | None
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    received_at: datetime


def decoded(subject: str, data: bytes) -> ChronoxMessage:
    """Return a message, if all of it can be stored.

    Raises:
        MalformedMessage: it is none, or something in it is not correct; names the field.
    """
    message = bar_messages.decode(subject, data)
    try:
        check_symbol(message.payload.symbol)
    except ValueError as error:
        raise MalformedMessage(subject, str(error)) from error
    if isinstance(message, BarsMessage):
        fault = next(filter(None, map(fault_of, message.payload.bars)), None) or _fault_of_days(message)
    else:
        fault = fault_of_snapshot(message.payload)
    if fault:
        raise MalformedMessage(subject, fault)
    return message


def bar_rows(messages: Iterable[ChronoxMessage]) -> Iterator[BarRow]:
    """Yield the bars of messages, in their order."""
    place = 0
    for message in messages:
        if not isinstance(message, BarsMessage):
            continue
        bars = message.payload
        for bar in bars.bars:
            place += 1
            yield BarRow(
                bars.symbol,
                bar.timestamp,
                *(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trades),
                bars.source.value,
                bars.adjusted,
                message.occurred_at,
                _day_of_hour(bar.timestamp // _HOUR_MS),
                bars.source.rank,
                place,
            )


def answers(messages: Iterable[ChronoxMessage]) -> Iterator[CompleteDays]:
    """Yield for which days messages complete the bars as traded."""
    for message in messages:
        if (
            isinstance(message, BarsMessage)
            and not message.payload.adjusted
            and message.payload.complete_days
        ):
            bars = message.payload
            yield CompleteDays(
                bars.symbol, bars.source.value, message.occurred_at, *message.payload.complete_days
            )


def days_of(messages: Iterable[ChronoxMessage]) -> set[date]:
    """Return the trading days that messages have bars or answers of."""
    found: set[date] = set()
    for message in messages:
        if not isinstance(message, BarsMessage):
            continue
        found.update(_day_of_hour(bar.timestamp // _HOUR_MS) for bar in message.payload.bars)
        if message.payload.complete_days:
            first, last = message.payload.complete_days
            found.update(first + timedelta(days=number) for number in range((last - first).days + 1))
    return found


def snapshot_rows(messages: Iterable[ChronoxMessage]) -> list[SnapshotRow]:
    """Return the newest snapshot of each symbol."""
    rows: dict[str, SnapshotRow] = {}
    for message in messages:
        if isinstance(message, BarsMessage):
            continue
        row = _snapshot_row(message.payload, message.occurred_at)
        if row.symbol not in rows or rows[row.symbol].timestamp <= row.timestamp:
            rows[row.symbol] = row
    return list(rows.values())


def _fault_of_days(message: BarsMessage) -> str | None:
    if message.payload.complete_days is None:
        return None
    first, last = message.payload.complete_days
    if 0 <= (last - first).days < MAX_DAYS:
        return None
    return f"complete_days are {first} to {last}: give 1 to {MAX_DAYS} days in their order"


def _snapshot_row(snapshot: MarketSnapshot, received_at: datetime) -> SnapshotRow:
    minute, day, previous = snapshot.minute, snapshot.day, snapshot.previous_day
    trade, quote = snapshot.trade, snapshot.quote
    updated_ms = (snapshot.updated_at_ns or int(received_at.timestamp() * 1000) * _MS_NS) // _MS_NS
    return SnapshotRow(
        symbol=snapshot.symbol,
        timestamp=updated_ms,
        minute=minute.timestamp if minute else None,
        minute_close=minute.close if minute else None,
        minute_volume=minute.volume if minute else None,
        open=day.open if day else None,
        high=day.high if day else None,
        low=day.low if day else None,
        close=day.close if day else None,
        volume=day.volume if day else None,
        vwap=day.vwap if day else None,
        previous_close=previous.close if previous else None,
        change=snapshot.change,
        change_percent=snapshot.change_percent,
        trade_price=trade.price if trade else None,
        trade_size=trade.size if trade else None,
        bid=quote.bid if quote else None,
        bid_size=quote.bid_size if quote else None,
        ask=quote.ask if quote else None,
        ask_size=quote.ask_size if quote else None,
        received_at=received_at,
    )


@lru_cache(maxsize=4096)
def _day_of_hour(hour: int) -> date:
    """Return the trading day of an hour since the epoch: days begin at full hours everywhere."""
    return trading_day_of(hour * _HOUR_MS)
