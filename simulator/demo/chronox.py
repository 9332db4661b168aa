"""Minute bars from a stand-in of Massive, by history, snapshot and stream: ``make demo-chronox``.

Three symbols with different strategies run through their phases. Then a day is streamed at speed: some
minutes are never sent, some are corrected, and the connection is lost in between. A search for gaps asks the
vendor for what is missing. At the end every minute in the lake has to equal the stand-in's.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
from rich.bar import Bar as RichBar
from rich.console import Console
from rich.progress import track
from rich.table import Table

from services.intake.market_days import early_close, why_closed
from shared.gexbot.trading_day import NEW_YORK, trading_day_of
from shared.massive.bars import MINUTE_MS, Bar
from simulator.demo.process import DemoFailed, run_in_folder
from simulator.massive.flat_files import ACCESS_KEY, SECRET_KEY
from simulator.massive.market import Market
from simulator.massive.server import FakeMassive
from simulator.massive.stream import FakeStream, minute_event
from simulator.stack import Stack

STRATEGIES: Final = {
    "AAPL": "flatpack_snapshot_stream",
    "MSFT": "flatpack_api",
    "NVDA": "snapshot_stream",
}
STREAMED: Final = tuple(symbol for symbol, strategy in STRATEGIES.items() if strategy.endswith("stream"))
_TRADED: Final = {"AAPL": 1.0, "MSFT": 0.97, "NVDA": 0.9}
_NEVER_SENT: Final = 12
_CORRECTED: Final = 8
_OUTAGE_MINUTES: Final = 25
_WITHIN_S: Final = 90.0
_MAX_ROWS: Final = 10_000
_MAX_DAYS: Final = 9
"""Of history: a symbol has up to 960 bars a day, and a query returns up to 10,000."""
_CHART_ROWS: Final = 13
_CHART_WIDTH: Final = 50

Minutes: TypeAlias = dict[tuple[str, int], list[Any]]
"""Open, high, low, close and volume, by symbol and minute."""

_HELD: Final = """
SELECT symbol, "timestamp", open, high, low, close, volume FROM ohlcv_1m
WHERE symbol = '{symbol}' AND NOT adjusted"""


@dataclass
class Figures:
    """What happened, by symbol."""

    bars: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    corrections: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Days:
    """The days of the demo."""

    history: tuple[date, ...]
    streamed: date


class Lake:
    """Intake's routes, as the demo uses them."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            DemoFailed: it was refused.
        """
        response = self._http.request(method, path, json=body)
        if response.is_error:
            raise DemoFailed(f"{method} {path} was answered with {response.status_code}: {response.text}")
        answer: dict[str, Any] = response.json()
        return answer

    def rows(self, query: str) -> list[list[Any]]:
        """Return the rows of a query."""
        answer = self.ask("POST", "/api/v1/sql", {"query": query, "max_rows": _MAX_ROWS})
        if answer["truncated"]:
            raise DemoFailed("the lake has more bars than a query may return")
        rows: list[list[Any]] = answer["rows"]
        return rows


def days_before(today: date, history: int) -> Days:
    """Return the last trading day before ``today``, which is streamed, and those before it."""
    found: list[date] = []
    day = today
    while len(found) <= history:
        day -= timedelta(days=1)
        if why_closed(day) is None:
            found.append(day)
    return Days(tuple(sorted(found[1:])), found[0])


def new_market(days: Days) -> Market:
    """Return the market, with the exchange's calendar."""
    first, last = days.history[0], days.streamed
    calendar = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
    return Market(
        _TRADED,
        closed=frozenset(day for day in calendar if why_closed(day) is not None),
        early=frozenset(day for day in calendar if early_close(day) is not None),
    )


def run(history: int, pause_s: float, folder: Path, out: Console) -> None:
    """Run the demo.

    Args:
        history: how many trading days of history are fetched.
        pause_s: between two streamed minutes.
        folder: where.
        out: the terminal.

    Raises:
        DemoFailed: the lake does not hold what the stand-in has.
        StackError: the system did not start.
    """
    days = days_before(datetime.now(NEW_YORK).date(), history)
    market = new_market(days)
    with FakeMassive(market) as massive, FakeStream() as stream:
        massive.flat_files.published.update(days.history)
        stack = Stack(folder, env=_settings(massive, stream))
        try:
            stack.start()
            stack.wait_ready()
            _run_on(Lake(stack.url), massive, stream, days, pause_s, out)
        except DemoFailed:
            out.print(stack.tails(), markup=False)
            raise
        finally:
            stack.stop()


def _settings(massive: FakeMassive, stream: FakeStream) -> dict[str, str]:
    return {
        "GEXLAKE_MASSIVE_API": massive.base,
        "GEXLAKE_MASSIVE_FILES": massive.base,
        "GEXLAKE_MASSIVE_STREAM": stream.url,
        "GEXLAKE_MASSIVE_API_KEY": massive.key,
        "GEXLAKE_MASSIVE_S3_ACCESS_KEY": ACCESS_KEY,
        "GEXLAKE_MASSIVE_S3_SECRET_KEY": SECRET_KEY,
        "GEXLAKE_MASSIVE_CALLS_PER_MINUTE": "6000",
    }


def _run_on(
    lake: Lake, massive: FakeMassive, stream: FakeStream, days: Days, pause_s: float, out: Console
) -> None:
    figures = Figures()
    _register(lake, days, out)
    _execute(lake, days, out)
    _stream_day(massive, stream, days, pause_s, figures, out)
    _fill(lake, days, figures, out)
    held = _await_equal(lake, massive, days)
    for symbol in STRATEGIES:
        figures.bars[symbol] = sum(1 for found, _ in held if found == symbol)
    _show(figures, held, days, out)


def _register(lake: Lake, days: Days, out: Console) -> None:
    for symbol, strategy in STRATEGIES.items():
        lake.ask("POST", "/api/v1/symbols", {"symbol": symbol, "strategy": strategy})
        out.print(f"registered {symbol}: {strategy}")
    out.print(f"history: {days.history[0]} to {days.history[-1]}; streamed: {days.streamed}")


def _execute(lake: Lake, days: Days, out: Console) -> None:
    """Run the symbols through their phases."""
    asked = {"start": str(days.history[0]), "end": str(days.history[-1])}
    out.print("POST /api/v1/registry/execute")
    lake.ask("POST", "/api/v1/registry/execute", asked)
    runs: list[dict[str, Any]] = []

    def have_ended() -> bool:
        runs[:] = lake.ask("GET", "/api/v1/registry/runs")["runs"]
        return len(runs) == len(STRATEGIES) and all(each["outcome"] for each in runs)

    _await("the runs to end", have_ended)
    for each in runs:
        out.print(f"  {each['symbol']}: {each['outcome']}, {each['records']:,} records")
        if each["error_message"]:
            raise DemoFailed(f"the run of {each['symbol']} failed: {each['error_message']}")


def _stream_day(
    massive: FakeMassive,
    stream: FakeStream,
    days: Days,
    pause_s: float,
    figures: Figures,
    out: Console,
) -> None:
    """Send the minutes of a day; the REST API knows no later ones in the meantime."""
    _await("a subscription", lambda: len(stream.topics) >= len(STREAMED))
    minutes = massive.rest.market.session(days.streamed, extended=False).minutes
    chosen = random.Random(1)
    sent = {symbol: _bars_of(massive, symbol, days.streamed) for symbol in STREAMED}
    never = {symbol: set(chosen.sample(minutes, _NEVER_SENT)) for symbol in STREAMED}
    corrected = {
        symbol: set(chosen.sample(tuple(minute for minute in minutes if minute in sent[symbol]), _CORRECTED))
        for symbol in STREAMED
    }
    begins, lost = len(minutes) // 2, range(len(minutes) // 2, len(minutes) // 2 + _OUTAGE_MINUTES)
    clock = minutes[0]
    massive.rest.now = lambda: clock + MINUTE_MS
    for place, minute in enumerate(track(minutes, f"stream {days.streamed}", console=out)):
        clock = minute
        if place == begins:
            stream.disconnect()
        for symbol in STREAMED:
            bar = sent[symbol].get(minute)
            if bar is None or minute in never[symbol] or place in lost:
                continue
            stream.send([minute_event(symbol, bar)])
            if minute in corrected[symbol]:
                later = _corrected(bar)
                massive.rest.changed[symbol, minute] = later
                stream.send([minute_event(symbol, later)])
        if place == lost[-1]:
            _await("a new subscription", lambda: len(stream.topics) >= len(STREAMED))
        time.sleep(pause_s)
    massive.rest.now = lambda: time.time_ns() // 1_000_000
    figures.corrections = {symbol: len(corrected[symbol]) for symbol in STREAMED}


def _bars_of(massive: FakeMassive, symbol: str, day: date) -> dict[int, Bar]:
    return {bar.timestamp: bar for bar in massive.rest.market.bars(symbol, day)}


def _corrected(bar: Bar) -> Bar:
    """Return a bar with trades that were reported late."""
    high = round(bar.high + 0.05, 2)
    return Bar(bar.timestamp, bar.open, high, bar.low, high, bar.volume + 300, bar.vwap, bar.trades)


def _fill(lake: Lake, days: Days, figures: Figures, out: Console) -> None:
    """Have the gaps of the streamed day found, and wait until none is open."""
    asked = {"symbols": STREAMED, "first": str(days.streamed), "last": str(days.streamed)}
    found = lake.ask("POST", "/api/v1/gaps/detect", asked)
    out.print(
        f"gaps: {found['open']} with {found['missing_minutes']} minutes, {found['fills_queued']} fills queued"
    )

    def are_ended() -> bool:
        lake.ask("POST", "/api/v1/gaps/detect", {**asked, "fill": False})
        return int(lake.ask("GET", "/api/v1/gaps?status=open")["total_count"]) == 0

    _await("the gaps to be filled", are_ended, every_s=1)
    for gap in lake.ask("GET", "/api/v1/gaps?limit=2000")["gaps"]:
        symbol = gap["symbol"]
        figures.gaps[symbol] = figures.gaps.get(symbol, 0) + 1
        figures.filled[symbol] = figures.filled.get(symbol, 0) + (gap["status"] == "filled")


def _all_bars(massive: FakeMassive, days: Days) -> Minutes:
    """Return what the stand-in has of all symbols and days."""
    return {
        (symbol, bar.timestamp): [bar.open, bar.high, bar.low, bar.close, bar.volume]
        for symbol in STRATEGIES
        for day in (*days.history, days.streamed)
        for bar in massive.rest.bars(symbol, day)
    }


def _is_wanted(symbol: str, minute: int, days: Days) -> bool:
    """Return whether the strategy of a symbol brings a minute in; flat files have those of others, too."""
    if trading_day_of(minute) == days.streamed:
        return symbol in STREAMED
    return STRATEGIES[symbol].startswith("flatpack")


def _await_equal(lake: Lake, massive: FakeMassive, days: Days) -> Minutes:
    """Wait until the lake has every wanted bar, and each is the stand-in's, and return them."""
    known = _all_bars(massive, days)
    wanted = {key for key in known if _is_wanted(*key, days)}
    held: Minutes = {}

    def is_equal() -> bool:
        held.clear()
        for symbol in STRATEGIES:
            held.update({(row[0], row[1]): row[2:] for row in lake.rows(_HELD.format(symbol=symbol))})
        return wanted <= held.keys() and all(known.get(key) == values for key, values in held.items())

    try:
        _await("every minute to equal the stand-in's", is_equal, every_s=0.5)
    except DemoFailed as error:
        differ = sum(known.get(key) != values for key, values in held.items())
        raise DemoFailed(f"{error}: {len(wanted - held.keys())} are missing, {differ} differ") from error
    return held


def _await(what: str, is_done: Callable[[], bool], every_s: float = 0.1) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not is_done():
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {_WITHIN_S:g} s for {what}")
        time.sleep(every_s)


def _show(figures: Figures, held: Minutes, days: Days, out: Console) -> None:
    table = Table("symbol", "strategy", title="\nEvery minute equals the stand-in's")
    for name in ("bars", "gaps found", "gaps filled", "no trades", "corrections"):
        table.add_column(name, justify="right")
    for symbol, strategy in STRATEGIES.items():
        found, filled = figures.gaps.get(symbol, 0), figures.filled.get(symbol, 0)
        counts = (figures.bars[symbol], found, filled, found - filled, figures.corrections.get(symbol, 0))
        table.add_row(symbol, strategy, *(f"{count:,}" for count in counts))
    out.print(table)
    out.print(_chart(STREAMED[0], held, days.streamed))


def _chart(symbol: str, held: Minutes, day: date) -> Table:
    """Return the half hours of a day as bars: from the lowest to the highest price, and the volume."""
    halves: dict[datetime, list[Sequence[Any]]] = {}
    for (found, minute), values in held.items():
        at = datetime.fromtimestamp(minute / 1000, NEW_YORK)
        if found == symbol and at.date() == day and (at.hour, at.minute) >= (9, 30):
            halves.setdefault(at.replace(minute=at.minute // 30 * 30), []).append(values)
    shown = dict(sorted(halves.items())[:_CHART_ROWS])
    lowest = min(values[2] for bars in shown.values() for values in bars)
    highest = max(values[1] for bars in shown.values() for values in bars)
    span = max(highest - lowest, 0.01)
    chart = Table("New York", f"{lowest:.2f} to {highest:.2f}", title=f"\n{symbol}, {day}", box=None)
    chart.add_column("close", justify="right")
    chart.add_column("volume", justify="right")
    for at, bars in shown.items():
        low, high = min(values[2] for values in bars), max(values[1] for values in bars)
        is_up = bars[-1][3] >= bars[0][0]
        bar = RichBar(
            span, low - lowest, high - lowest, width=_CHART_WIDTH, color="green" if is_up else "red"
        )
        chart.add_row(f"{at:%H:%M}", bar, f"{bars[-1][3]:.2f}", f"{sum(values[4] for values in bars):,.0f}")
    return chart


def main() -> None:
    """Run the demo and clean up."""
    parser = argparse.ArgumentParser(prog="python -m simulator.demo.chronox", description=__doc__)
    parser.add_argument("--days", type=int, default=5, help="trading days of history")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds between two streamed minutes")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    if not 1 <= options.days <= _MAX_DAYS:
        parser.error(f"--days: 1 to {_MAX_DAYS}")
    run_in_folder(partial(run, options.days, options.pause), keep=options.keep)


if __name__ == "__main__":
    main()
