"""The rules for every record, checked on plain Python values.

They are the same as those of the compiled reader and of the SQL checks. They run only on a file that was
refused, to name the record and the field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

from services.importer.formats.format import MAX_DEPTH, Field, Format, Kind, Rows
from shared.gexbot.trading_day import trading_day_of

_INT32: Final = 2**31
_MAX_SHOWN: Final = 40
_HALF: Final = re.compile("[\ud800-\udfff]")
_TIMESTAMP: Final = Field("timestamp", required=True)

Fault = tuple[str, str]
"""A field, and the problem with it as the end of a sentence."""


class Word(float):
    """NaN or an infinity, written as a word, which JSON does not have; 1e999 is not one."""


class Record(dict[str, Any]):
    """An object of the file; ``twice`` is a name that it has twice, or None."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = next(_repeated(name for name, _ in pairs), None) if len(self) < len(pairs) else None


def fault_of(record: Any, form: Format, ticker: str) -> Fault | None:
    """Return the first rule that a record breaks, or None; its day is not checked.

    Args:
        record: one element of the array.
        form: its format.
        ticker: the job's ticker.
    """
    if not isinstance(record, Record):
        return "record", f"is {_shown(record)}, not an object"
    if record.twice is not None:
        return _shown_name(record.twice), "occurs twice"
    fields = (_TIMESTAMP, *form.fields)
    for field in fields:
        if field.required and record.get(field.name) is None:
            return field.name, "is null" if field.name in record else "is missing"
    faults = ((field.name, _problem_of(field, record.get(field.name))) for field in fields)
    return (
        next(((name, problem) for name, problem in faults if problem), None)
        or _fault_of_ticker(record, ticker)
        or _fault_of_time(record)
        or (_fault_of_rows(record, form.rows) if form.rows else None)
        or _fault_of_depth(record)
        or _fault_of_others(record, form)
    )


def fault_of_day(timestamp_ms: int, day: date) -> Fault:
    """Return the problem with the timestamp of a record outside of a day."""
    seconds = _seconds(timestamp_ms)
    try:
        moment = f" ({datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC)"
    except (ValueError, OverflowError, OSError):
        moment = ""
    return "timestamp", f"is {_shown(seconds)}{moment}, outside the trading day {day} in New York"


def fault_of_first_time(timestamp_ms: int) -> Fault | None:
    """Return the problem with a timestamp from which the trading day is taken, or None."""
    try:
        trading_day_of(timestamp_ms)
    except (ValueError, OverflowError, OSError):
        return "timestamp", f"is {_shown(_seconds(timestamp_ms))}, which is not a valid time"
    return None


def fault_of_twice(names: Iterable[str]) -> Fault:
    """Return the problem with the names of a record of which one occurs twice."""
    return _shown_name(next(_repeated(names))), "occurs twice"


def _seconds(timestamp_ms: int) -> float:
    """Return a timestamp as the file has it: in seconds, with a fraction if there is one."""
    return timestamp_ms / 1000 if timestamp_ms % 1000 else timestamp_ms // 1000


def _repeated(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _problem_of(field: Field, value: Any) -> str | None:
    if value is None:
        return None
    if field.kind in {Kind.ARRAY, Kind.NUMBERS}:
        if not isinstance(value, list):
            return f"is {_shown(value)}, not an array"
        parts = value if field.kind is Kind.NUMBERS else _numbers(value)
        return next((problem for each in parts if (problem := _problem_of_number(each))), None)
    if problem := _problem_of_number(value):
        return problem
    if field.kind is Kind.INTEGER and (value != int(value) or not -_INT32 <= value < _INT32):
        return f"is {_shown(value)}, not a 32-bit integer"
    return None


def _problem_of_number(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {_shown(value)}, not a number"
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    return None if finite else f"is {_shown(value)}, not a finite number"


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers anywhere within a value, and the words that stand for some."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, int | float) and not isinstance(each, bool):
            yield each
        elif isinstance(each, list | dict):
            waiting.extend(_inside(each))


def _fault_of_ticker(record: dict[str, Any], ticker: str) -> Fault | None:
    found = record.get("ticker")
    if found is None:
        return "ticker", "is null" if "ticker" in record else "is missing"
    if not isinstance(found, str) or not found.isascii() or found.upper() != ticker:
        return "ticker", f"is {_shown(found)}, but the job is for {ticker}"
    return None


def _fault_of_time(record: dict[str, Any]) -> Fault | None:
    timestamp_ms = float(record["timestamp"]) * 1000
    if math.isfinite(timestamp_ms) and abs(round(timestamp_ms)) < 2**63:
        return None
    return "timestamp", f"is {_shown(record['timestamp'])}, which is not a valid time"


def _fault_of_rows(record: dict[str, Any], rows: Rows) -> Fault | None:
    elements = record.get(rows.field)
    if elements is None:
        return None
    if not isinstance(elements, list):
        return rows.field, f"is {_shown(elements)}, not an array"
    for index, element in enumerate(elements):
        if problem := _problem_of_row(element, rows):
            return f"{rows.field}[{index}]", problem
    return None


def _problem_of_row(element: Any, rows: Rows) -> str | None:
    names = ", ".join(part.name for part in rows.parts)
    if not isinstance(element, list):
        return f"is {_shown(element)}, not an array of {names}"
    if not rows.min_parts <= len(element) <= len(rows.parts):
        return f"has {len(element)} elements, not {rows.min_parts} to {len(rows.parts)} ({names})"
    for part, value in zip(rows.parts, element, strict=False):
        problem = f"is {value}" if value is None and part.required else _problem_of(part, value)
        if problem:
            return f"has a {part.name} that {problem}"
    return None


def _fault_of_depth(record: dict[str, Any]) -> Fault | None:
    for name, value in record.items():
        level = _brackets([value])
        for _ in range(MAX_DEPTH - 1):  # the record itself is the first
            level = [inner for each in level for inner in _brackets(_inside(each))]
            if not level:
                break
        else:
            return _shown_name(name), f"is nested deeper than {MAX_DEPTH} levels"
    return None


def _fault_of_others(record: dict[str, Any], form: Format) -> Fault | None:
    for name in record.keys() - set(form.known):
        if _HALF.search(name):
            return _shown_name(name), "has a name with half of a surrogate pair"
        word = next((each for each in _numbers(record[name]) if isinstance(each, Word)), None)
        if word is not None:
            return _shown_name(name), f"has {_shown(word)} in it, which JSON does not have"
    return None


def _brackets(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, list | dict)]


def _inside(value: list[Any] | dict[str, Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _shown_name(name: str) -> str:
    """Return a name of the file in ASCII, which messages and headers can hold."""
    return name.encode("ascii", "backslashreplace").decode()[:_MAX_SHOWN]


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
