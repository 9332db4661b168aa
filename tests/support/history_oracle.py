"""What the lake must hold of a classic history file, by plain Python's ``json``, or that the file is refused.

Written from the description of the format, and from nothing of the importer: no import of it, no DuckDB. Slow
and short. Where the description says nothing, the answer is ``Unspecified``, and either outcome is right.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from typing import Any, Final
from zoneinfo import ZoneInfo

NUMBERS: Final = (
    *("zero_gamma", "major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi"),
    *("sum_gex_vol", "sum_gex_oi", "delta_risk_reversal"),
    *("call_wall_candidate1_pct", "call_wall_candidate2_pct"),
    *("put_wall_candidate1_pct", "put_wall_candidate2_pct"),
)
"""The scalars that a record may leave out, in the order in which ``Expected.snapshots`` has them."""
INTEGERS: Final = ("min_dte", "sec_min_dte")
KNOWN: Final = frozenset({"timestamp", "ticker", "spot", "strikes", "max_priors", *NUMBERS, *INTEGERS})
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
_ABOUT_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64

Fault = tuple[int | None, str | None]
"""A record's number, from 1, and the field that is wrong; None: whichever."""


@dataclass(frozen=True)
class Expected:
    """What the tables and the Parquet file hold afterwards, in the order of time."""

    day: date
    snapshots: list[tuple[Any, ...]]
    """timestamp in ms, spot, NUMBERS, INTEGERS, max_priors."""
    strike_rows: list[tuple[Any, ...]]
    """timestamp in ms, strike, gamma, oi_gamma, priors."""
    duplicates: int
    strays: int
    unknown_records: int
    unknown_names: frozenset[str]


@dataclass(frozen=True)
class Refused:
    """How the file may be refused.

    Args:
        kinds: of ``record``, ``file`` and ``empty``, which errors are right.
        faults: what an error about a record may name.
    """

    kinds: frozenset[str]
    faults: frozenset[Fault] = frozenset()

    def allows(self, kind: str, number: int | None, name: str | None) -> bool:
        """Tell whether an error is one of those."""
        named = {(number, name), (number, None), (None, None)} & self.faults
        return kind in self.kinds and (kind != "record" or bool(named))


@dataclass(frozen=True)
class Tolerated:
    """No JSON, but by a slip that does not touch what is read: refused, or read as if it were not there."""

    expected: Expected


@dataclass(frozen=True)
class Unspecified:
    """The description does not say what becomes of such a file."""

    why: str


def expected_of(
    data: bytes, *, packed: bool, ticker: str, day: date | None, max_stray: int = 0
) -> Expected | Tolerated | Refused | Unspecified:
    """Return what an import of a file leaves, or how it ends.

    Args:
        data: the bytes of the file.
        packed: whether its name says that it is gzip.
        ticker: the job's.
        day: the job's trading day; None: that of the first record.
        max_stray: how many records outside the day are dropped.
    """
    text, damaged = _text_of(data, packed=packed)
    said = _read(text, _Reading(ticker, day, max_stray), damaged=damaged)
    if not isinstance(said, Refused):
        return said
    laxly = _read(_without_slips(text), _Reading(ticker, day, max_stray, lax=True), damaged=damaged)
    return Tolerated(laxly) if isinstance(laxly, Expected) else _either(said, laxly)


def _either(said: Refused, laxly: Refused | Unspecified) -> Refused | Unspecified:
    """Return the refusal of a file, whether or not it is read laxly as far as its fault."""
    if isinstance(laxly, Unspecified):
        return laxly
    return Refused(said.kinds | laxly.kinds, said.faults | laxly.faults)


def _read(text: str, reading: _Reading, *, damaged: bool) -> Expected | Refused | Unspecified:
    try:
        for number, (record, size) in enumerate(_records(text), start=1):
            reading.take(number, record, size)
    except _Silent as silence:
        return Unspecified(str(silence))
    except _Refusal as refusal:
        kinds = refusal.refused.kinds | ({"file"} if damaged else set())
        return Refused(kinds, refusal.refused.faults | reading.fault_of_strays())
    return Refused(frozenset({"file", "empty"})) if damaged else reading.result()


class _Silent(Exception):
    """The description says nothing about this."""


class _Refusal(Exception):
    def __init__(self, *kinds: str, faults: frozenset[Fault] = frozenset()) -> None:
        self.refused = Refused(frozenset(kinds), faults)


class _Object(dict[str, Any]):
    """An object of the file, and the keys that it has twice."""

    twice: frozenset[str]

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> _Object:
        names = [name for name, _ in pairs]
        made = cls(pairs)
        made.twice = frozenset(name for name in made if names.count(name) > 1)
        return made


@dataclass(frozen=True)
class _NoNumber:
    """NaN, Infinity or -Infinity, which Python reads and JSON does not know."""

    token: str


_DECODER: Final = json.JSONDecoder(
    parse_int=float, parse_float=float, parse_constant=_NoNumber, object_pairs_hook=_Object.of
)


def _text_of(data: bytes, *, packed: bool) -> tuple[str, bool]:
    """Return the text of a file as far as it can be read, and whether that is not all of it."""
    plain, damaged = _unpacked(data) if packed else (data, False)
    try:
        return plain.decode("utf-8-sig"), damaged
    except UnicodeDecodeError as error:
        return plain[: error.start].decode("utf-8-sig", "ignore"), True


def _unpacked(data: bytes) -> tuple[bytes, bool]:
    out = bytearray()
    try:
        with gzip.open(BytesIO(data)) as file:
            while byte := file.read(256):
                out += byte
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return bytes(out), True
    return bytes(out), not data


_SLIP: Final = re.compile(
    r'("(?:[^"\\]|\\.)*")|(-?)\b(?:nan|inf(?:inity)?)\b|,(?=[ \t\r\n]*[\]}])', re.IGNORECASE | re.DOTALL
)
"""A string (to be stepped over), a word for no number, or a comma with nothing behind it."""


def _without_slips(text: str) -> str:
    def mended(match: re.Match[str]) -> str:
        return match[1] or ("" if match[0] == "," else "NaN")

    return _SLIP.sub(mended, text)


_BLANKS: Final = re.compile(r"[ \t\r\n]*")


def _past_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, number: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise _Refusal("file") from None
    except RecursionError:
        raise _Refusal("record", "file", faults=frozenset({(number, None)})) from None


def _records(text: str) -> Iterator[tuple[Any, str]]:
    """Yield the records of a file, each with its own text."""
    at = _past_blanks(text, 0)
    if at == len(text):
        raise _Refusal("empty")
    if text[at] == "[":
        yield from _in_array(text, at)
    elif text[at] == "{":
        yield from _in_lines(text)
    else:
        raise _Refusal("file")


def _in_array(text: str, at: int) -> Iterator[tuple[Any, str]]:
    at = _past_blanks(text, at + 1)
    number = 0
    while number or text[at : at + 1] != "]":
        number += 1
        value, end = _value(text, at, number)
        yield value, text[at:end]
        at = _past_blanks(text, end)
        if text[at : at + 1] != ",":
            break
        at = _past_blanks(text, at + 1)
    if text[at : at + 1] != "]" or _past_blanks(text, at + 1) != len(text):
        raise _Refusal("file")
    if not number:
        raise _Refusal("empty")


def _in_lines(text: str) -> Iterator[tuple[Any, str]]:
    number = 0
    for line in text.split("\n"):
        content = line.strip(" \t\r")
        if "\r" in content:
            raise _Silent("a carriage return within a line")
        if content:
            number += 1
            try:
                value, end = _value(content, 0, number)
            except _Refusal:
                end = 0
            if end != len(content):
                # Records over several lines, or several on one, may be read on until one breaks a rule.
                raise _Refusal("file", "record", faults=frozenset({(None, None)}))
            yield value, content


@dataclass
class _Reading:
    """The records of a file as far as they are read."""

    ticker: str
    day: date | None
    max_stray: int
    lax: bool = False
    kept: dict[int, _Object] = field(default_factory=dict)
    duplicates: int = 0
    strays: list[int] = field(default_factory=list)
    unknown_records: int = 0
    unknown_names: set[str] = field(default_factory=set)

    def take(self, number: int, record: Any, text: str) -> None:
        """Take in the next record."""
        _check_shape(number, record, text)
        if faults := _faults_of(record, self.ticker):
            named = frozenset((number, name) for name in faults)
            raise _Refusal("record", faults=named | self._fault_of_time(number, record))
        _check_unknown(number, record, lax=self.lax)
        milliseconds = _milliseconds(record["timestamp"])
        self.day = self.day or _day_of(milliseconds, number)
        unknown = record.keys() - KNOWN
        self.unknown_records += bool(unknown)
        self.unknown_names |= unknown
        if milliseconds is None or not _is_within(milliseconds, self.day):
            self._stray(number)
        elif milliseconds in self.kept:
            self.duplicates += 1
        else:
            self.kept[milliseconds] = record

    def _fault_of_time(self, number: int, record: _Object) -> frozenset[Fault]:
        """Return the fault of a first timestamp that is no time: one of several in its record."""
        try:
            if self.day is None and _is_number(record.get("timestamp")):
                _day_of(_milliseconds(record["timestamp"]), number)
        except _Refusal as refusal:
            return refusal.refused.faults
        return frozenset()

    def _stray(self, number: int) -> None:
        self.strays.append(number)
        if len(self.strays) > self.max_stray:
            raise _Refusal("record", faults=self.fault_of_strays())

    def fault_of_strays(self) -> frozenset[Fault]:
        """Return how the strays so far are named, if they turn out to be too many."""
        return frozenset((number, "timestamp") for number in self.strays[:1])

    def result(self) -> Expected | Refused:
        """Return what is kept."""
        if self.day is None or not self.kept:
            return Refused(frozenset({"record", "file", "empty"}), self.fault_of_strays())
        in_order = sorted(self.kept.items())
        return Expected(
            self.day,
            [_snapshot(at, record) for at, record in in_order],
            [row for at, record in in_order for row in _strike_rows(at, record)],
            self.duplicates,
            len(self.strays),
            self.unknown_records,
            frozenset(self.unknown_names),
        )


def _check_shape(number: int, record: Any, text: str) -> None:
    anything = frozenset({(number, None)})
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_RECORD_BYTES + _ABOUT_BYTES or not isinstance(record, _Object):
        raise _Refusal("record", "file", faults=anything)
    if size_bytes > MAX_RECORD_BYTES:
        raise _Silent("just too large: nobody measures records to the byte")
    depth = max(depth for _, depth in _inside(record))
    if depth > MAX_DEPTH:
        raise _Refusal("record", "file", faults=anything)
    if depth == MAX_DEPTH:
        raise _Silent("just as deep as allowed, or one too deep, if the array counts")


def _check_unknown(number: int, record: _Object, *, lax: bool) -> None:
    """Meet what the description leaves open, and what is no JSON, in the parts that nobody looks at."""
    for value, _ in _inside(record):
        if isinstance(value, _NoNumber) and not lax:
            raise _Refusal("record", "file", faults=frozenset({(number, None)}))
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise _Silent("half of a surrogate pair")
        if isinstance(value, _Object) and value.twice:
            raise _Silent("a key twice in an object within a record")
    ticker = record["ticker"]
    if not ticker.isascii():
        raise _Silent("a ticker that is the job's in some alphabets only")


def _inside(value: Any) -> Iterator[tuple[Any, int]]:
    """Yield a value and everything in it, keys too, with its depth; a record's is 1."""
    waiting = [(value, 1)]
    while waiting:
        found, depth = waiting.pop()
        yield found, depth if isinstance(found, dict | list) else depth - 1
        if isinstance(found, dict):
            waiting += [(part, depth + 1) for pair in found.items() for part in pair]
        elif isinstance(found, list):
            waiting += [(part, depth + 1) for part in found]


def _faults_of(record: _Object, ticker: str) -> set[str]:
    """Return the fields of a record that break a rule; of its strikes the first only."""
    faults = set(record.twice)
    faults |= {name for name in ("timestamp", "spot") if not _is_number(record.get(name))}
    faults |= {name for name in NUMBERS if not _is_number_or_null(record.get(name))}
    faults |= {name for name in INTEGERS if not _is_integer_or_null(record.get(name))}
    found = record.get("ticker")
    if not isinstance(found, str) or ticker.upper() not in {found.upper(), found.casefold().upper()}:
        faults.add("ticker")
    if not _is_array_or_null(record.get("max_priors")):
        faults.add("max_priors")
    strikes = record.get("strikes")
    if strikes is not None and not isinstance(strikes, list):
        return faults | {"strikes"}
    bad = (f"strikes[{index}]" for index, strike in enumerate(strikes or ()) if not _is_strike(strike))
    return faults | {name for name in [next(bad, None)] if name}


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_number_or_null(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_integer_or_null(value: Any) -> bool:
    return value is None or (_is_number(value) and value == int(value) and -(2**31) <= value < 2**31)


def _is_array_or_null(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and not any(isinstance(part, _NoNumber) for part, _ in _inside(value))


def _is_strike(value: Any) -> bool:
    if not isinstance(value, list) or not 2 <= len(value) <= 4:
        return False
    strike, gamma, oi_gamma, priors = (*value, None, None)[:4]
    return (
        _is_number(strike)
        and _is_number_or_null(gamma)
        and _is_number_or_null(oi_gamma)
        and (priors is None or (isinstance(priors, list) and all(map(_is_number_or_null, priors))))
    )


def _milliseconds(seconds: float) -> int | None:
    milliseconds = seconds * 1000
    return round(milliseconds) if math.isfinite(milliseconds) else None


_NEW_YORK: Final = ZoneInfo("America/New_York")


def _day_of(milliseconds: int | None, number: int) -> date:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds or 0)
        day = moment.astimezone(_NEW_YORK).date()
        end_of_time = milliseconds is None or day == date.max
    except OverflowError:
        end_of_time = True
    if end_of_time:
        raise _Refusal("record", faults=frozenset({(number, "timestamp")}))
    return day


def _is_within(milliseconds: int, day: date) -> bool:
    start, end = (
        int(datetime.combine(each, time.min, tzinfo=_NEW_YORK).timestamp()) * 1000
        for each in (day, day + timedelta(days=1))
    )
    return start <= milliseconds < end


def _snapshot(at: int, record: _Object) -> tuple[Any, ...]:
    integers = (None if record.get(name) is None else int(record[name]) for name in INTEGERS)
    scalars = (record.get(name) for name in NUMBERS)
    return (at, record["spot"], *scalars, *integers, record.get("max_priors"))


def _strike_rows(at: int, record: _Object) -> Iterator[tuple[Any, ...]]:
    for strike in record.get("strikes") or ():
        yield (at, *(*strike, None, None)[:4])
