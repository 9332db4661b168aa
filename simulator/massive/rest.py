"""The answers of the REST API: minute aggregates in pages, snapshots, and the errors of its plans."""

from __future__ import annotations

import base64
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from shared.gexbot.trading_day import bounds_ms, trading_day_of
from shared.massive.bars import MINUTE_MS, Bar
from simulator.massive.market import Market
from simulator.massive.snapshots import snapshot_of

PUBLIC_BASE: Final = "https://api.massive.com"
"""The host in ``next_url``, whatever address was asked."""
MAX_LIMIT: Final = 50_000
_DEFAULT_LIMIT: Final = 5_000
_AGGREGATES: Final = re.compile(r"/v2/aggs/ticker/([^/]+)/range/1/minute/([^/]+)/([^/]+)")
_SNAPSHOTS: Final = re.compile(r"/v2/snapshot/locale/us/markets/stocks/tickers(?:/([^/]+))?")
_LOOK_BACK_DAYS: Final = 10
_REQUEST_ID: Final = "12afda77aab3b1936c5fb6ef4241ae42"


@dataclass(frozen=True)
class Answer:
    """A response: its status, its body (JSON, or bytes as they are) and further headers."""

    status: int = 200
    body: dict[str, Any] | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after_bytes: int | None = None
    """The connection is closed after so many bytes of the body."""


@dataclass
class Rest:
    """The REST API of a market.

    Args:
        market: has the bars.
        now: returns the present moment, UTC epoch milliseconds; nothing later is known.
        changed: bars that replace generated ones, by symbol and minute; None for one that is missing.
        first_day: the earliest day of the plan.
        is_end_of_day: whether the plan has today's data only after the day.
        is_delayed: whether answers say that the plan's data are delayed.
        has_trades: whether snapshots have the last trade.
        has_quotes: whether snapshots have the last quote.
    """

    market: Market
    now: Callable[[], int]
    changed: dict[tuple[str, int], Bar | None] = field(default_factory=dict)
    first_day: date = date(2003, 9, 10)
    is_end_of_day: bool = False
    is_delayed: bool = False
    has_trades: bool = True
    has_quotes: bool = True

    def answer(self, path: str, query: str) -> Answer:
        """Return the answer to a request with a valid key."""
        fields = {name: values[0] for name, values in parse_qs(query).items()}
        if match := _AGGREGATES.fullmatch(path):
            return self._aggregates(match[1], match[2], match[3], fields)
        if match := _SNAPSHOTS.fullmatch(path):
            return self._snapshots(match[1], fields)
        return error(HTTPStatus.NOT_FOUND, "NOT_FOUND", "Not found.")

    def bars(self, symbol: str, day: date, *, adjusted: bool = False) -> list[Bar]:
        """Return the bars of a day that are complete by now, with the changes to them."""
        bars = {bar.timestamp: bar for bar in self.market.bars(symbol, day, adjusted=adjusted)}
        start, end = bounds_ms(day)
        for (changed, minute), bar in self.changed.items():
            if changed == symbol and start <= minute < end:
                bars.pop(minute, None)
                if bar is not None:
                    bars[minute] = bar
        known_until = self.now() - MINUTE_MS
        return [bars[minute] for minute in sorted(bars) if minute <= known_until]

    def _aggregates(self, symbol: str, start: str, end: str, fields: Mapping[str, str]) -> Answer:
        options = {**_cursor_of(fields), **fields}
        try:
            first, last = _start_ms(start), _end_ms(end)
            limit = int(options.get("limit", _DEFAULT_LIMIT))
        except ValueError:
            return error(HTTPStatus.BAD_REQUEST, "ERROR", f"Could not parse the time parameter: '{start}'")
        if not 1 <= limit <= MAX_LIMIT or first > last:
            return error(HTTPStatus.BAD_REQUEST, "ERROR", "The parameter 'limit' or the range is invalid.")
        if refusal := self._refusal(trading_day_of(first), trading_day_of(last)):
            return refusal
        adjusted = options.get("adjusted", "true") == "true"
        found = self._between(symbol, first, last, adjusted=adjusted)
        if options.get("sort") == "desc":
            found.reverse()
        page = found[:limit]
        body: dict[str, Any] = {
            "ticker": symbol,
            "queryCount": len(page),
            "resultsCount": len(page),
            "adjusted": adjusted,
            "status": "DELAYED" if self.is_delayed else "OK",
            "request_id": _REQUEST_ID,
        }
        if page:
            body |= {"results": [as_aggregate(bar) for bar in page], "count": len(page)}
        if len(found) > limit:
            kept = {"adjusted": options.get("adjusted", "true"), "limit": limit, "sort": "asc"}
            cursor = base64.b64encode(urlencode(kept).encode()).decode().rstrip("=")
            path = f"/v2/aggs/ticker/{symbol}/range/1/minute/{found[limit].timestamp}/{end}"
            body["next_url"] = f"{PUBLIC_BASE}{path}?{urlencode({'cursor': cursor})}"
        return Answer(body=body)

    def _refusal(self, first: date, last: date) -> Answer | None:
        if first < self.first_day:
            return error(
                HTTPStatus.FORBIDDEN,
                "NOT_AUTHORIZED",
                "Your plan doesn't include this data timeframe. Please upgrade your plan",
            )
        if self.is_end_of_day and last >= trading_day_of(self.now()):
            return error(
                HTTPStatus.FORBIDDEN, "NOT_AUTHORIZED", "Attempted to request today's data before end of day."
            )
        return None

    def _between(self, symbol: str, first: int, last: int, *, adjusted: bool) -> list[Bar]:
        found: list[Bar] = []
        day, end = trading_day_of(first), trading_day_of(min(last, self.now()))
        while day <= end:
            found += self.bars(symbol, day, adjusted=adjusted)
            day += timedelta(days=1)
        begin = bisect_left(found, first, key=lambda bar: bar.timestamp)
        return found[begin : bisect_right(found, last, key=lambda bar: bar.timestamp)]

    def _snapshots(self, symbol: str | None, fields: Mapping[str, str]) -> Answer:
        if symbol is not None and symbol not in self.market.symbols:
            return error(HTTPStatus.NOT_FOUND, "NOT_FOUND", "Ticker not found.")
        if symbol is not None:
            return Answer(body={"status": "OK", "request_id": _REQUEST_ID, "ticker": self._snapshot(symbol)})
        wanted = fields["tickers"].split(",") if fields.get("tickers") else list(self.market.symbols)
        tickers = [self._snapshot(each) for each in wanted if each in self.market.symbols]
        return Answer(body={"status": "OK", "count": len(tickers), "tickers": tickers})

    def _snapshot(self, symbol: str) -> dict[str, Any]:
        today = trading_day_of(self.now())
        earlier = (self.bars(symbol, today - timedelta(days=back)) for back in range(1, _LOOK_BACK_DAYS))
        return snapshot_of(
            symbol,
            self.bars(symbol, today),
            next(filter(None, earlier), []),
            has_trades=self.has_trades,
            has_quotes=self.has_quotes,
        )


def error(status: HTTPStatus, word: str, text: str) -> Answer:
    """Return an error as the API words it: ``error`` with ERROR, ``message`` with other statuses."""
    field_name = "error" if word == "ERROR" else "message"
    return Answer(status, {"status": word, "request_id": _REQUEST_ID, field_name: text})


def as_aggregate(bar: Bar) -> dict[str, Any]:
    """Return a bar as REST has it; ``vw`` and ``n`` are left out if they are not known."""
    found = {"v": bar.volume, "o": bar.open, "c": bar.close, "h": bar.high, "l": bar.low, "t": bar.timestamp}
    optional = {"vw": bar.vwap, "n": bar.trades}
    return {**found, **{name: value for name, value in optional.items() if value is not None}}


def _cursor_of(fields: Mapping[str, str]) -> dict[str, str]:
    cursor = fields.get("cursor", "")
    decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    return {name: values[0] for name, values in parse_qs(decoded).items()}


def _start_ms(text: str) -> int:
    at = int(text) if text.isdigit() else bounds_ms(date.fromisoformat(text))[0]
    return at - at % MINUTE_MS


def _end_ms(text: str) -> int:
    return int(text) if text.isdigit() else bounds_ms(date.fromisoformat(text))[1] - 1
