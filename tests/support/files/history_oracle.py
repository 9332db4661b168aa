"""What the lake must hold of a classic history file, by plain Python's ``json``, or that the file is refused.

Written from the description of the format, and from nothing of the importer: no import of it, no DuckDB. Slow
and short. Where the description is silent, the answer is ``Unspecified``, and either outcome is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.support.files.history_json import (
    Fault,
    NoNumber,
    Object,
    Refusal,
    Refused,
    Silent,
    records_of,
    text_of,
)

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


@dataclass(frozen=True)
class Expected:
    """What the tables and the Parquet file hold afterwards, in the order of time."""

    day: date
    snapshots: list[tuple[Any, ...]]
    """timestamp in ms, spot, NUMBERS, INTEGERS, max_priors."""
    strike_rows: list[tuple[Any, ...]]
    """timestamp in ms, strike, gamma, oi_gamma, priors."""
    duplicates: int
    out_of_day: int
    unknown_records: int
    unknown_names: frozenset[str]


@dataclass(frozen=True)
class Unspecified:
    """The description leaves open whether such a file is refused."""

    why: str


def expected_of(
    data: bytes, *, ticker: str, day: date | None, max_out_of_day: int = 0
) -> Expected | Refused | Unspecified:
    """Return what an import of a file leaves, or how it ends.

    Args:
        data: the bytes of the file.
        ticker: the job's.
        day: the job's trading day; None: that of the first record.
        max_out_of_day: how many records outside the day are dropped.
    """
    text, damaged = text_of(data)
    return _read(text, _Reading(ticker, day, max_out_of_day), damaged=damaged)


def _read(text: str, reading: _Reading, *, damaged: bool) -> Expected | Refused | Unspecified:
    try:
        for number, (record, size) in enumerate(records_of(text), start=1):
            reading.take(number, record, size)
    except Silent as silence:
        return Unspecified(str(silence))
    except Refusal as refusal:
        kinds = refusal.refused.kinds | reading.kinds_of_out_of_day | ({"file"} if damaged else set())
        return Refused(kinds, refusal.refused.faults | reading.fault_of_out_of_day())
    if not damaged:
        return reading.result()
    kinds = frozenset({"file", "empty"}) | reading.kinds_of_out_of_day
    return Refused(kinds, reading.fault_of_out_of_day())


@dataclass
class _Reading:
    """The records of a file as far as they are read."""

    ticker: str
    day: date | None
    max_out_of_day: int
    kept: dict[int, Object] = field(default_factory=dict)
    duplicates: int = 0
    out_of_day: list[int] = field(default_factory=list)
    unknown_records: int = 0
    unknown_names: set[str] = field(default_factory=set)

    def take(self, number: int, record: Any, text: str) -> None:
        """Take in the next record."""
        _check_shape(number, record, text)
        if faults := _faults_of(record, self.ticker):
            named = frozenset((number, name) for name in faults)
            # An error of the vendor in place of records may be called that.
            kinds = {"record", "file"} if number == 1 and "error" in record else {"record"}
            raise Refusal(*kinds, faults=named | self._fault_of_time(number, record))
        _check_unknown(number, record)
        milliseconds = _milliseconds(record["timestamp"])
        self.day = self.day or _day_of(milliseconds, number)
        unknown = record.keys() - KNOWN
        self.unknown_records += bool(unknown)
        self.unknown_names |= unknown
        if milliseconds is None or not _is_within(milliseconds, self.day):
            self.out_of_day.append(number)
        elif milliseconds in self.kept:
            self.duplicates += 1
        else:
            self.kept[milliseconds] = record

    def _fault_of_time(self, number: int, record: Object) -> frozenset[Fault]:
        """Return the fault of a first timestamp that is no time: one of several in its record."""
        try:
            if self.day is None and _is_number(record.get("timestamp")):
                _day_of(_milliseconds(record["timestamp"]), number)
        except Refusal as refusal:
            return refusal.refused.faults
        return frozenset()

    @property
    def kinds_of_out_of_day(self) -> frozenset[str]:
        """The kinds of error for the out-of-day records so far; none if they are not too many."""
        is_refused = len(self.out_of_day) > self.max_out_of_day
        return frozenset({"record"}) if is_refused else frozenset()

    def fault_of_out_of_day(self) -> frozenset[Fault]:
        """Return how the out-of-day records so far are named, if they turn out to be too many."""
        return frozenset((number, "timestamp") for number in self.out_of_day[:1])

    def result(self) -> Expected | Refused:
        """Return what is kept."""
        if self.day is None or not self.kept:
            return Refused(frozenset({"record", "file", "empty"}), self.fault_of_out_of_day())
        if kinds := self.kinds_of_out_of_day:
            return Refused(kinds, self.fault_of_out_of_day())
        in_order = sorted(self.kept.items())
        return Expected(
            self.day,
            [_snapshot(at, record) for at, record in in_order],
            [row for at, record in in_order for row in _strike_rows(at, record)],
            self.duplicates,
            len(self.out_of_day),
            self.unknown_records,
            frozenset(self.unknown_names),
        )


def _check_shape(number: int, record: Any, text: str) -> None:
    anything = frozenset({(number, None)})
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_RECORD_BYTES + _ABOUT_BYTES or not isinstance(record, Object):
        raise Refusal("record", "file", faults=anything)
    if size_bytes > MAX_RECORD_BYTES:
        raise Silent("just too large: record sizes are not compared to the byte")
    depth = max(depth for _, depth in _inside(record))
    if depth > MAX_DEPTH:
        raise Refusal("record", "file", faults=anything)
    if depth == MAX_DEPTH:
        raise Silent("just as deep as allowed, or one too deep, if the array counts")


def _check_unknown(number: int, record: Object) -> None:
    """Find what the description leaves open, and what is not JSON, in parts that are not imported."""
    for value, _ in _inside(record):
        if isinstance(value, NoNumber):
            raise Refusal("record", "file", faults=frozenset({(number, None)}))
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise Silent("half of a surrogate pair")
        if isinstance(value, Object) and value.twice:
            raise Silent("a key twice in an object within a record")


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


def _faults_of(record: Object, ticker: str) -> set[str]:
    """Return the fields of a record that break a rule; of its strikes the first only."""
    faults = set(record.twice)
    faults |= {name for name in ("timestamp", "spot") if not _is_number(record.get(name))}
    if "timestamp" not in faults and not abs(record["timestamp"] * 1000) < 2**63:
        faults.add("timestamp")
    faults |= {name for name in NUMBERS if not _is_number_or_null(record.get(name))}
    faults |= {name for name in INTEGERS if not _is_integer_or_null(record.get(name))}
    found = record.get("ticker")
    if not isinstance(found, str) or not found.isascii() or found.upper() != ticker.upper():
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
    return isinstance(value, list) and not any(
        isinstance(part, NoNumber) or (isinstance(part, float) and not math.isfinite(part))
        for part, _ in _inside(value)
    )


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
        raise Refusal("record", faults=frozenset({(number, "timestamp")}))
    return day


def _is_within(milliseconds: int, day: date) -> bool:
    start, end = (
        int(datetime.combine(each, time.min, tzinfo=_NEW_YORK).timestamp()) * 1000
        for each in (day, day + timedelta(days=1))
    )
    return start <= milliseconds < end


def _snapshot(at: int, record: Object) -> tuple[Any, ...]:
    integers = (None if record.get(name) is None else int(record[name]) for name in INTEGERS)
    scalars = (record.get(name) for name in NUMBERS)
    return (at, record["spot"], *scalars, *integers, record.get("max_priors"))


def _strike_rows(at: int, record: Object) -> Iterator[tuple[Any, ...]]:
    for strike in record.get("strikes") or ():
        yield (at, *(*strike, None, None)[:4])
