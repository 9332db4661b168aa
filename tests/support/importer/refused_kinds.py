"""Every kind of file that is refused: its content, and the error of its job."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.support.importer.lake import a_record, records

SNAPSHOTS: Final = 20
BAD: Final = 4
"""The record, counted from 1, that is bad in a file that has one."""
MAX_OUT_OF_DAY: Final = 1
"""So many records outside the trading day the importer is to drop."""

_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True)
class RefusedKind:
    """A kind of file that no partition is replaced by.

    Args:
        name: of the test's case.
        content: makes the file.
        message: its error, after the name of the file.
        field: the field that is named; None if there is none.
        error: the type of the error.
        packed: whether its name ends in ``.gz``.
    """

    name: str
    content: Callable[[], bytes]
    message: str
    field: str | None = "file"
    error: str = "UnreadableFile"
    packed: bool = False


def good_file() -> bytes:
    """Return the file that a partition comes from before another one is refused."""
    return json.dumps(records(SNAPSHOTS)).encode()


def _with(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = records(SNAPSHOTS)
    change(document[BAD - 1])
    return json.dumps(document).encode()


def _values(name: str, field: str, problem: str, *, value: Any, row: str = "") -> RefusedKind:
    """Return the kind with one value in place of another."""
    return RefusedKind(
        name,
        lambda: _with(lambda record: record.update({field: value})),
        f"record {BAD}: {field}{row} {problem}; the file was not imported",
        field + row,
        "BadRecord",
    )


def _strike(name: str, element: Any, problem: str) -> RefusedKind:
    """Return the kind with one element of ``strikes`` in place of another; the element before it is good."""
    return _values(name, "strikes", problem, value=[[25000, 1, 2, [3]], element], row="[1]")


def _missing(field: str) -> RefusedKind:
    return RefusedKind(
        f"missing_{field}",
        lambda: _with(lambda record: record.pop(field)),
        f"record {BAD}: {field} is missing; the file was not imported",
        field,
        "BadRecord",
    )


def _replaced(name: str, old: bytes, new: bytes, field: str, problem: str) -> RefusedKind:
    """Return the kind with other text in a file's bad record, for what ``json`` does not write."""
    return RefusedKind(
        name,
        lambda: _with(lambda record: record.update(spot="@")).replace(b'"spot": "@"', old + new),
        f"record {BAD}: {field} {problem}; the file was not imported",
        field,
        "BadRecord",
    )


def _two_of_another_day() -> bytes:
    document = records(SNAPSHOTS)
    for number in (BAD, BAD + 5):
        document[number - 1]["timestamp"] -= _SECONDS_A_DAY
    return json.dumps(document).encode()


def _a_day_of_another_day() -> bytes:
    return json.dumps(
        [{**record, "timestamp": record["timestamp"] - _SECONDS_A_DAY} for record in records(SNAPSHOTS)]
    ).encode()


def _cut_off_before(text: bytes) -> bytes:
    whole = good_file()
    return whole[: whole.rindex(text)]


def _one_huge_record() -> bytes:
    """A record of 100 MB after a good one, which packed is small."""
    good, huge = (json.dumps(a_record(second)).encode() for second in range(2))
    return gzip.compress(b"[%b,%b]" % (good, huge[:-1] + b',"note":"' + b"x" * 100_000_000 + b'"}'), 1)


def _nested(deep: int) -> bytes:
    value = b"[" * deep + b"]" * deep
    return _with(lambda record: record.update(note="@")).replace(b'"@"', value)


def _damaged() -> bytes:
    packed = gzip.compress(json.dumps(records(500)).encode())
    return packed[:-8] + bytes(4) + packed[-4:]


_NUMBERS: Final = (
    _values("nan", "spot", "is nan, not a finite number", value=float("nan")),
    _values("infinity", "zero_gamma", "is inf, not a finite number", value=float("inf")),
    _values("negative_infinity", "sum_gex_oi", "is -inf, not a finite number", value=float("-inf")),
    _replaced("beyond_doubles", b'"spot": ', b"1e999", "spot", "is inf, not a finite number"),
    _values("nan_in_max_priors", "max_priors", "is nan, not a finite number", value=[[25000, float("nan")]]),
    _strike(
        "nan_in_a_strike", [25010, float("nan"), 0], "has a gex_by_volume that is nan, not a finite number"
    ),
    _strike(
        "infinity_in_priors",
        [25010, 1, 2, [0, float("inf")]],
        "has a priors that is inf, not a finite number",
    ),
)
_TEXT_FOR_NUMBERS: Final = (
    _values("text_spot", "spot", "is '25000.25', not a number", value="25000.25"),
    _values("boolean_spot", "spot", "is True, not a number", value=True),
    _values("text_scalar", "zero_gamma", "is '24950.5', not a number", value="24950.5"),
    _values("boolean_scalar", "major_pos_oi", "is False, not a number", value=False),
    _values("text_timestamp", "timestamp", "is '1763130603', not a number", value="1763130603"),
    _values("boolean_timestamp", "timestamp", "is True, not a number", value=True),
    _values("fraction_for_a_whole_number", "min_dte", "is 1.5, not a 32-bit integer", value=1.5),
    _strike("text_strike", ["25010", 1, 2, [3]], "has a strike that is '25010', not a number"),
    _strike("boolean_strike", [25010, True, 2, [3]], "has a gex_by_volume that is True, not a number"),
    _strike("text_prior", [25010, 1, 2, ["3"]], "has a priors that is '3', not a number"),
    _strike("boolean_prior", [25010, 1, 2, [True]], "has a priors that is True, not a number"),
    _strike(
        "number_for_a_strike",
        25010,
        "is 25010, not an array of strike, gex_by_volume, gex_by_open_interest, priors",
    ),
)
_NOT_OF_THE_PARTITION: Final = (
    _values("null_timestamp", "timestamp", "is null", value=None),
    _missing("timestamp"),
    _values("null_spot", "spot", "is null", value=None),
    _missing("spot"),
    _values("another_ticker", "ticker", "is 'SPX', but the job is for NQ_NDX", value="SPX"),
    _missing("ticker"),
    RefusedKind(
        "another_day",
        _a_day_of_another_day,
        "record 1: timestamp is 1763044200 (2025-11-13 14:30:00 UTC), outside the trading day",
        "timestamp",
        "BadRecord",
    ),
    RefusedKind(
        "too_many_out_of_day",
        _two_of_another_day,
        f"record {BAD}: timestamp is 1763044203 (2025-11-13 14:30:03 UTC), outside the trading day",
        "timestamp",
        "BadRecord",
    ),
    _replaced("a_key_twice", b'"spot": 1, ', b'"spot": 2', "spot", "occurs twice"),
)
_NO_DAY_OF_HISTORY: Final = (
    RefusedKind("cut_off_in_a_record", lambda: _cut_off_before(b'"spot"'), "is cut off in record 20"),
    RefusedKind("cut_off_after_a_record", lambda: _cut_off_before(b", {"), "is cut off after record 19"),
    RefusedKind("trailing_garbage", lambda: good_file() + b"xyz", "something after the end of the array"),
    RefusedKind("two_arrays", lambda: good_file() * 2, "something after the end of the array (record 20)"),
    RefusedKind(
        "html", lambda: b"<html>403</html>", "is a web page or XML, not JSON", None, "NotAHistoryFile"
    ),
    RefusedKind(
        "error_object",
        lambda: b'{"error": "expired"}',
        "sent an error in place of 2025-11-14_NQ_NDX_classic_gex_zero.json: 'expired'",
        None,
        "ErrorInsteadOfFile",
    ),
    RefusedKind(
        "error_object_over_lines",
        lambda: json.dumps({"error": {"code": 403}}, indent=2).encode(),
        "sent an error in place of",
        None,
        "ErrorInsteadOfFile",
    ),
    RefusedKind("no_records", lambda: b" [ ]\n", "the file holds no records", error="NoRecords"),
    RefusedKind("empty", lambda: b"", "is empty", None, "NotAHistoryFile"),
    RefusedKind(
        "packed_and_empty",
        lambda: gzip.compress(b""),
        "the file holds no records",
        error="NoRecords",
        packed=True,
    ),
    RefusedKind("nested_without_end", lambda: b"[" * 1_000_000, "record 1 is nested too deeply"),
    RefusedKind("nested_too_deeply", lambda: _nested(100_000), f"record {BAD} is nested too deeply"),
    RefusedKind(
        "nested_deeper_than_a_record_may_be",
        lambda: _nested(70),
        f"record {BAD}: note is nested deeper than 64 levels",
        "note",
        "BadRecord",
    ),
    RefusedKind(
        "a_record_of_100_mb", _one_huge_record, "the record after byte 492 is larger than 16 MiB", packed=True
    ),
    RefusedKind(
        "latin_1",
        lambda: _with(lambda record: record.update(note="@")).replace(b"@", "é".encode("latin-1")),
        "it is not UTF-8 text",
    ),
    RefusedKind(
        "utf_16",
        lambda: gzip.compress(good_file().decode().encode("utf-16")),
        "is not JSON",
        None,
        "NotAHistoryFile",
        packed=True,
    ),
    *(
        RefusedKind(name, content, "is a broken gzip", None, "NotAHistoryFile", packed=True)
        for name, content in (
            ("damaged_gzip", _damaged),
            ("gzip_cut_off", lambda: gzip.compress(good_file())[:-20]),
        )
    ),  # which the fetcher sees already
)
_WORSE: Final = (
    RefusedKind(
        "fewer_snapshots",
        lambda: json.dumps(records(SNAPSHOTS // 2)).encode(),
        f"the file has {SNAPSHOTS // 2} snapshots, the partition holds {SNAPSHOTS}; less than 90% is refused",
        "snapshots",
        "WorseData",
    ),
    RefusedKind(
        "fewer_strikes",
        lambda: json.dumps(records(SNAPSHOTS, strikes=[[25000, 1, 2]])).encode(),
        f"the file has {SNAPSHOTS} strikes, the partition holds {2 * SNAPSHOTS}; less than 90% is refused",
        "strikes",
        "WorseData",
    ),
)

REFUSED_KINDS: Final = (*_NUMBERS, *_TEXT_FOR_NUMBERS, *_NOT_OF_THE_PARTITION, *_NO_DAY_OF_HISTORY, *_WORSE)
