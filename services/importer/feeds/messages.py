"""Messages of FEED, decoded, and held against what the tables can hold."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

from services.importer.formats.classic import CLASSIC
from shared.bus import live_messages
from shared.bus.live_messages import LiveMessage, LiveSnapshot, Snapshot
from shared.errors import MalformedMessage
from shared.gexbot.partition import normalize_ticker
from shared.gexbot.trading_day import trading_day_of

_INTEGERS: Final = ("min_dte", "sec_min_dte")
_INT32: Final = range(-(2**31), 2**31)
_SECOND_MS: Final = 1000


def decoded(subject: str, data: bytes) -> LiveMessage:
    """Decode a message, and check that its rows fit the tables.

    Raises:
        MalformedMessage: they do not, or this version does not know the message.
    """
    message = live_messages.decode(subject, data)
    if isinstance(message, LiveSnapshot):
        problem = _problem(message.payload)
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


def _problem(snapshot: Snapshot) -> str | None:
    """Return why a snapshot cannot be stored, as the end of a sentence."""
    if snapshot.endpoint not in CLASSIC.endpoints:
        return f"its endpoint is {snapshot.endpoint!r}; one of {', '.join(CLASSIC.endpoints)} is expected"
    try:
        day_of(snapshot)
        ticker = normalize_ticker(snapshot.ticker)
    except (ValueError, OverflowError, OSError) as error:
        return f"its ticker or timestamp is unusable: {error}"
    if ticker != snapshot.ticker:
        return f"its ticker is {snapshot.ticker!r}; capitals are expected"
    for name in _INTEGERS:
        value = getattr(snapshot, name)
        if value is not None and value not in _INT32:
            return f"its {name} is {value}; a 32-bit integer is expected"
    return None
