"""Messages of FEED, decoded, and held against what the tables can hold."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Final

from services.importer.formats.classic import CLASSIC
from shared.bus.feeds import live_messages
from shared.bus.feeds.chain_messages import LiveChain
from shared.bus.feeds.live_messages import LiveMessage, LiveSnapshot, Snapshot
from shared.errors import MalformedMessage
from shared.gexbot.partition import normalize_ticker
from shared.gexbot.trading_day import NEW_YORK, trading_day_of

_INTEGERS: Final = ("min_dte", "sec_min_dte")
_INT32: Final = range(-(2**31), 2**31)
_SECOND_MS: Final = 1000
_EARLIEST_MS: Final = int(datetime(2000, 1, 1, tzinfo=NEW_YORK).timestamp()) * _SECOND_MS


def decoded(subject: str, data: bytes) -> LiveMessage:
    """Decode a message, and check that its rows fit the tables.

    Raises:
        MalformedMessage: they do not, or this version does not know the message.
    """
    message = live_messages.decode(subject, data)
    problem = None
    if isinstance(message, LiveSnapshot):
        problem = _problem(message.payload)
    elif isinstance(message, LiveChain):
        problem = _problem_of_chain(message)
    if problem:
        raise MalformedMessage(subject, problem)
    return message


def day_of(snapshot: Snapshot) -> date:
    """Return the trading day of a snapshot.

    Raises:
        ValueError: no calendar has it.
        OverflowError: the same.
        OSError: the same.
    """
    return _day_of_second(snapshot.timestamp // _SECOND_MS)


@lru_cache(maxsize=4096)
def _day_of_second(timestamp_s: int) -> date:
    return trading_day_of(timestamp_s * _SECOND_MS)


def _problem_of_chain(message: LiveChain) -> str | None:
    chain = message.payload
    if message.occurred_at.tzinfo is None:
        return "its occurred_at has no time zone"
    if chain.timestamp < _EARLIEST_MS:
        return f"its timestamp is {chain.timestamp}, which is before 2000"
    return _problem_of_key(chain.market_symbol, chain.timestamp)


def _problem_of_key(symbol: str, timestamp: int) -> str | None:
    try:
        _day_of_second(timestamp // _SECOND_MS)
        ticker = normalize_ticker(symbol)
    except (ValueError, OverflowError, OSError) as error:
        return f"its ticker or timestamp is unusable: {error}"
    return None if ticker == symbol else f"its ticker is {symbol!r}; capitals are expected"


def _problem(snapshot: Snapshot) -> str | None:
    """Return why a snapshot cannot be stored, as the end of a sentence."""
    if snapshot.endpoint not in CLASSIC.endpoints:
        return f"its endpoint is {snapshot.endpoint!r}; one of {', '.join(CLASSIC.endpoints)} is expected"
    if problem := _problem_of_key(snapshot.ticker, snapshot.timestamp):
        return problem
    for name in _INTEGERS:
        value = getattr(snapshot, name)
        if value is not None and value not in _INT32:
            return f"its {name} is {value}; a 32-bit integer is expected"
    return None
