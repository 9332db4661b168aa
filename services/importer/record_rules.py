"""The rules that every record of a history file must keep, over plain values.

They say the same as the checks in ``staging_duckdb``, record by record and in words; they run only on a file
that DuckDB has refused, to name the record and the field.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any, Final

from services.importer.history_format import INTEGERS, OPTIONAL_NUMBERS, REQUIRED_NUMBERS
from shared.trading_day import bounds_ms, trading_day_of

_INT32: Final = 2**31
_MAX_SHOWN: Final = 40
_STRIKE_PARTS: Final = ("strike", "gex_by_volume", "gex_by_open_interest")

Fault = tuple[str, str]
"""A field and what is wrong with it, as the end of a sentence."""


def fault_of(record: Any, ticker: str, day: date | None) -> Fault | None:
    """Return the first rule that a record breaks, or None.

    Args:
        record: one element of the array.
        ticker: the job's.
        day: the trading day that its timestamp must lie in; None while it is not known.
    """
    if not isinstance(record, dict):
        return "record", f"is {_shown(record)}, not an object"
    for name in REQUIRED_NUMBERS:
        if record.get(name) is None:
            return name, "is null" if name in record else "is missing"
    return (
        _fault_of_numbers(record)
        or _fault_of_ticker(record, ticker)
        or _fault_of_day(record, day)
        or _fault_of_strikes(record)
    )


def timestamp_ms_of(record: dict[str, Any]) -> int:
    """Return a record's timestamp in epoch milliseconds; the file has seconds, sometimes with a fraction."""
    return round(float(record["timestamp"]) * 1000)


def _fault_of_numbers(record: dict[str, Any]) -> Fault | None:
    for name in (*REQUIRED_NUMBERS, *OPTIONAL_NUMBERS, *INTEGERS):
        value = record.get(name)
        if value is None:
            continue
        if problem := _problem_of_number(value):
            return name, problem
        if name in INTEGERS and (value != int(value) or abs(value) >= _INT32):
            return name, f"is {_shown(value)}, not a whole number of 32 bits"
    return None


def _problem_of_number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {_shown(value)}, not a number"
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    return None if finite else f"is {_shown(value)}, not a finite number"


def _fault_of_ticker(record: dict[str, Any], ticker: str) -> Fault | None:
    found = record.get("ticker")
    if found is None:
        return "ticker", "is null" if "ticker" in record else "is missing"
    if not isinstance(found, str) or found.upper() != ticker:
        return "ticker", f"is {_shown(found)}, but the job is for {ticker}"
    return None


def _fault_of_day(record: dict[str, Any], day: date | None) -> Fault | None:
    if day is None:
        return (
            None
            if _is_a_time(record)
            else ("timestamp", f"is {_shown(record['timestamp'])}, which is no time")
        )
    start, end = bounds_ms(day)
    if start <= timestamp_ms_of(record) < end:
        return None
    try:
        moment = f" ({datetime.fromtimestamp(float(record['timestamp']), UTC):%Y-%m-%d %H:%M:%S} UTC)"
    except (ValueError, OverflowError, OSError):
        moment = ""
    return "timestamp", f"is {_shown(record['timestamp'])}{moment}, outside the trading day {day} in New York"


def _is_a_time(record: dict[str, Any]) -> bool:
    try:
        trading_day_of(timestamp_ms_of(record))
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _fault_of_strikes(record: dict[str, Any]) -> Fault | None:
    strikes = record.get("strikes")
    if strikes is None:
        return None
    if not isinstance(strikes, list):
        return "strikes", f"is {_shown(strikes)}, not an array"
    for index, strike in enumerate(strikes):
        if problem := _problem_of_strike(strike):
            return f"strikes[{index}]", problem
    return None


def _problem_of_strike(strike: Any) -> str | None:
    if not isinstance(strike, list) or not strike:
        return f"is {_shown(strike)}, not an array of strike, volume figure, open-interest figure, priors"
    for name, value in zip(_STRIKE_PARTS, strike, strict=False):
        if value is None and name != "strike":
            continue
        if problem := _problem_of_number(value):
            return f"has a {name} that {problem}"
    return None


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
