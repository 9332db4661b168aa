"""Decode the JSON of REST: minute aggregates and snapshots.

Unknown fields are ignored, and their names are returned, so that a change of the format is noticed. A bar or
snapshot that cannot be read is rejected, and the others are returned.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from shared.massive.bars import END_MS, FIRST_MS, Bar, fault_of
from shared.massive.snapshots import DayBar, LastQuote, LastTrade, MarketSnapshot


class RejectedBar(NamedTuple):
    """A bar that is not stored, as it was sent, and why."""

    sent: str
    reason: str
    timestamp: int | None = None
    """Start of its minute, UTC epoch milliseconds, if that can be read."""


class BarPage(NamedTuple):
    """One page of bars."""

    bars: list[Bar]
    rejected: list[RejectedBar]
    next_url: str | None
    is_delayed: bool
    """Whether the vendor says that the plan's data are delayed."""
    unknown_fields: frozenset[str]


class SnapshotPage(NamedTuple):
    """The snapshots of a response."""

    snapshots: list[MarketSnapshot]
    rejected: dict[str, str]
    """The symbols whose snapshots cannot be read, and why."""
    unknown_fields: frozenset[str]


class _Envelope(msgspec.Struct):
    status: str
    results: msgspec.Raw = msgspec.Raw(b"[]")
    next_url: str | None = None
    error: str | None = None
    message: str | None = None


class _Aggregate(msgspec.Struct, gc=False):
    t: int
    o: float
    h: float
    l: float  # noqa: E741 (the vendor names it)
    c: float
    v: float
    vw: float | None = None
    n: int | None = None

    def bar(self) -> Bar:
        return Bar(self.t, self.o, self.h, self.l, self.c, self.v, self.vw, self.n)


class _Timestamp(msgspec.Struct):
    t: int


class _Day(msgspec.Struct):
    o: float = 0
    h: float = 0
    l: float = 0  # noqa: E741 (the vendor names it)
    c: float = 0
    v: float = 0
    vw: float | None = None

    def bar(self) -> DayBar | None:
        """Return the day; None if it has not begun, which zeros mean."""
        return DayBar(self.o, self.h, self.l, self.c, self.v, self.vw) if self.o else None


class _Minute(_Day):
    t: int = 0
    n: int | None = None

    def minute(self) -> Bar | None:
        """Return the minute; None if nothing was traded yet, which a time of 0 means."""
        return Bar(self.t, self.o, self.h, self.l, self.c, self.v, self.vw, self.n) if self.t else None


class _Trade(msgspec.Struct):
    p: float
    s: float
    t: int


class _Quote(msgspec.Struct, rename={"bid": "p", "bid_size": "s", "ask": "P", "ask_size": "S"}):
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    t: int


class _Ticker(msgspec.Struct, rename="camel"):
    ticker: str
    updated: int = 0
    min: _Minute = msgspec.field(default_factory=_Minute)
    day: _Day = msgspec.field(default_factory=_Day)
    prev_day: _Day = msgspec.field(default_factory=_Day)
    todays_change: float | None = None
    todays_change_perc: float | None = None
    last_trade: _Trade | None = None
    last_quote: _Quote | None = None

    def snapshot(self) -> MarketSnapshot:
        trade, quote = self.last_trade, self.last_quote
        return MarketSnapshot(
            symbol=self.ticker,
            updated_at_ns=self.updated or None,
            minute=self.min.minute(),
            day=self.day.bar(),
            previous_day=self.prev_day.bar(),
            change=self.todays_change,
            change_percent=self.todays_change_perc,
            trade=LastTrade(trade.p, trade.s, trade.t) if trade else None,
            quote=LastQuote(quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.t) if quote else None,
        )


class _OneSnapshot(msgspec.Struct):
    ticker: msgspec.Raw


class _ManySnapshots(msgspec.Struct):
    tickers: list[msgspec.Raw] = []


class _Symbol(msgspec.Struct):
    ticker: str


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_AGGREGATES: Final = msgspec.json.Decoder(list[_Aggregate])
_ONE: Final = msgspec.json.Decoder(_OneSnapshot)
_MANY: Final = msgspec.json.Decoder(_ManySnapshots)
_TICKER: Final = msgspec.json.Decoder(_Ticker)
_SYMBOL: Final = msgspec.json.Decoder(_Symbol)
_KNOWN: Final = frozenset(_Aggregate.__struct_fields__) | {"otc", "dv", "dav"}
"""``dv`` and ``dav`` repeat volumes as decimal text."""
_KNOWN_OF_TICKER: Final = frozenset(_Ticker.__struct_encode_fields__) | {"fmv"}
_KNOWN_OF_PARTS: Final = {
    "min": _KNOWN | {"av"},
    "day": _KNOWN,
    "prevDay": _KNOWN,
    "lastTrade": frozenset({"p", "s", "t", "x", "c", "i", "ds"}),
    "lastQuote": frozenset(_Quote.__struct_encode_fields__),
}


def bar_page(content: bytes) -> BarPage:
    """Return a page of minute aggregates.

    Raises:
        ValueError: it is no page of aggregates, or the vendor says that it is an error.
    """
    envelope = _ENVELOPE.decode(content)
    if envelope.status not in {"OK", "DELAYED"}:
        raise ValueError(f"status is {envelope.status!r}: {envelope.error or envelope.message}")
    results = bytes(envelope.results)
    if results == b"null":
        results = b"[]"
    rejected: list[RejectedBar] = []
    bars = [bar for bar in _bars(results, rejected) if _is_correct(bar, rejected)]
    unknown = _unknown_fields(results)
    return BarPage(bars, rejected, envelope.next_url, envelope.status == "DELAYED", unknown)


def snapshot(content: bytes) -> SnapshotPage:
    """Return the snapshot of one symbol.

    Raises:
        ValueError: it is none.
    """
    return _snapshot_page([_ONE.decode(content).ticker])


def snapshots(content: bytes) -> SnapshotPage:
    """Return the snapshots of several symbols.

    Raises:
        ValueError: they are none.
    """
    return _snapshot_page(_MANY.decode(content).tickers)


def error_text(content: bytes) -> str:
    """Return the vendor's words in an error response; empty if there are none."""
    try:
        found = msgspec.json.decode(content)
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    return str(found.get("error") or found.get("message") or found.get("status") or "")


def _snapshot_page(tickers: list[msgspec.Raw]) -> SnapshotPage:
    page = SnapshotPage([], {}, _unknown_of_ticker(tickers[0]) if tickers else frozenset())
    for raw in tickers:
        symbol = _SYMBOL.decode(raw).ticker
        try:
            page.snapshots.append(_TICKER.decode(raw).snapshot())
        except msgspec.ValidationError as error:
            page.rejected[symbol] = str(error)
    return page


def _unknown_of_ticker(raw: msgspec.Raw) -> frozenset[str]:
    """Return the fields of a snapshot that this version does not know, those of its parts with a dot."""
    found = msgspec.json.decode(raw, type=dict[str, Any])
    parts = {name: part for name, part in found.items() if name in _KNOWN_OF_PARTS and isinstance(part, dict)}
    return frozenset(found.keys() - _KNOWN_OF_TICKER) | {
        f"{name}.{field}" for name, part in parts.items() for field in part.keys() - _KNOWN_OF_PARTS[name]
    }


def _bars(results: bytes, rejected: list[RejectedBar]) -> list[Bar]:
    try:
        return [each.bar() for each in _AGGREGATES.decode(results)]
    except msgspec.ValidationError:
        return _bars_one_by_one(results, rejected)


def _bars_one_by_one(results: bytes, rejected: list[RejectedBar]) -> list[Bar]:
    bars: list[Bar] = []
    for raw in msgspec.json.decode(results, type=list[msgspec.Raw]):
        try:
            bars.append(msgspec.json.decode(raw, type=_Aggregate).bar())
        except msgspec.ValidationError as error:
            sent = bytes(raw).decode(errors="replace")[:300]
            rejected.append(RejectedBar(sent, str(error), _timestamp_of(raw)))
    return bars


def _timestamp_of(raw: msgspec.Raw) -> int | None:
    try:
        return _known_time(msgspec.json.decode(raw, type=_Timestamp).t)
    except msgspec.ValidationError:
        return None


def _known_time(timestamp: int) -> int | None:
    return timestamp if FIRST_MS <= timestamp < END_MS else None


def _is_correct(bar: Bar, rejected: list[RejectedBar]) -> bool:
    fault = fault_of(bar)
    if fault:
        rejected.append(RejectedBar(msgspec.json.encode(bar).decode(), fault, _known_time(bar.timestamp)))
    return fault is None


def _unknown_fields(results: bytes) -> frozenset[str]:
    """Return the fields of the first bar that this version does not know."""
    end = results.find(b"}")
    first: list[Any] = msgspec.json.decode(results[: end + 1] + b"]") if end > 0 else []
    return frozenset(name for bar in first if isinstance(bar, dict) for name in bar.keys() - _KNOWN)
