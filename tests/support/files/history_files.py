"""Hypothesis strategies that write classic history files as bytes: good ones, as odd as they may be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from tests.support.files.json_trees import Tree, compact, indented, spaced

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

DAY: Final = date(2025, 11, 14)
OPEN_S: Final = 1763130600
TICKER: Final = "NQ_NDX"
MIDNIGHT_S: Final = 1763096400
NEXT_MIDNIGHT_S: Final = MIDNIGHT_S + 86_400


@dataclass(frozen=True)
class HistoryFile:
    """A file, and how it is imported."""

    data: bytes
    packed: bool = False
    day: date | None = DAY
    max_out_of_day: int = 0
    block_bytes: int = 1 << 20
    """Read at a time."""


NUMBERS: Final = (
    *("0", "1", "-7", "25000", "-0", "-0.0", "0e0", "0E-5", "1e15", "-1E15", "1e+2", "1E5", "1e-9"),
    "-2.5e-9",
    *("999999999999999", "0.1", "25000.25", "-228.01", "1000000000000000.0", "0.000000001"),
    "9007199254740993",
    *("123456789012345678", "12345678901234567890", "-123456789012345678901234567890"),
    "3.141592653589793238462",
    *("1e-400", "5e-324", "1.7976931348623157e308", "0.30000000000000004", "1.10", "100", "4.35", "2.675"),
)
TRAPS: Final = (
    *('"plain"', '""', '"}, {\\"timestamp\\": 5"', '"},{\\"timestamp\\":"'),
    *('"}\\n{\\"timestamp\\":"', '"[[["', '"]]}"'),
    *('"\\"strikes\\":["', '",\\"strikes\\":[[1,2,3]]"', '"\\\\"', '"\\\\\\\\\\""', '"\\\\\\""'),
    '"\\u007d,\\u007b"',
    *('"strikes"', '"\\u00e9\\ud83d\\ude00 \\/ \\b\\f"', '"é 😀 \u2028 \u00a0"', '"\\u0000"', '"NaN"'),
    *('"//"', '"#"'),
    *("'", "{", "}", "[", "]", ",", ":", "null", "[],", '},{"timestamp":1,"strikes":[[1,2]]},{'),
    *('"strikes":[', '{"'),
)
"""Strings (those that are not in quotes yet are put into them) that look like the structure of a file."""
UNKNOWN_NAMES: Final = (
    *('"note"', '"Timestamp"', '"SPOT"', '"strikes "', '"mini_contracts"', '"a.b"', '""', '"strike"'),
    '"priors"',
    *('"},{"', '"\\"strikes\\":["', '"\\"timestamp\\""', '"\\u0073trike"', '"é"', '"\\\\"', '"$"'),
    "'quoted'",
)
ESCAPED: Final = {
    "timestamp": '"\\u0074imestamp"',
    "strikes": '"\\u0073trikes"',
    "spot": '"sp\\u006ft"',
    "zero_gamma": '"zero\\u005Fgamma"',
}
OPTIONAL: Final = (
    *("zero_gamma", "major_pos_vol", "major_pos_oi", "major_neg_vol", "major_neg_oi", "sum_gex_vol"),
    "sum_gex_oi",
    *("delta_risk_reversal", "call_wall_candidate1_pct", "call_wall_candidate2_pct"),
    *("put_wall_candidate1_pct", "put_wall_candidate2_pct"),
)


def _in_quotes(text: str) -> str:
    return text if text[:1] == '"' and text[-1:] == '"' and len(text) > 1 else json.dumps(text)


_strings: Final = st.sampled_from([_in_quotes(text) for text in TRAPS])
_numbers: Final = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(-(10**15), 10**15).map(str),
    st.floats(-1e15, 1e15, allow_nan=False).map(repr),
)
_figures: Final = st.one_of(_numbers, st.just("null"))
_integers: Final = st.sampled_from(
    ["0", "1", "5.0", "-3", "null", "2147483647", "-2147483648", "1.5e1", "-0.0"]
)
_unknown_names: Final = st.sampled_from([_in_quotes(text) for text in UNKNOWN_NAMES])
_anything: Final = st.recursive(
    st.one_of(_strings, _numbers, st.sampled_from(["true", "false", "null", "1e999"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(
            st.tuples(_unknown_names, inner), max_size=3, unique_by=lambda pair: str(json.loads(pair[0]))
        ).map(tuple),
        inner.map(lambda value: (('"strikes"', [["1", "2", value]]), ('"timestamp"', value))),
    ),
    max_leaves=6,
)
_priors: Final = st.one_of(st.just("null"), st.lists(_figures, max_size=6))
_strikes: Final = st.one_of(
    st.tuples(_numbers, _figures).map(list),
    st.tuples(_numbers, _figures, _figures).map(list),
    st.tuples(_numbers, _figures, _figures, _priors).map(list),
)
_max_priors: Final = st.one_of(
    st.sampled_from(["null", [], [["25000", "1.5"]] * 6]),
    st.lists(
        st.one_of(
            _figures, _strings, st.lists(_figures, max_size=2), st.just((('"strikes"', [["1", "2"]]),))
        ),
        max_size=3,
    ),
)
_unknown: Final = st.lists(
    st.tuples(_unknown_names, _anything), max_size=2, unique_by=lambda pair: str(json.loads(pair[0]))
)
_tickers: Final = st.sampled_from(
    ['"NQ_NDX"'] * 3 + ['"nq_ndx"', '"Nq_nDX"', '"\\u004eQ_NDX"', '"NQ\\u005fndx"']
)
_PLAIN: Final[tuple[tuple[str, Tree], ...]] = (
    ('"min_dte"', "0"),
    ('"sec_min_dte"', "1"),
    ('"zero_gamma"', "24950.5"),
    ('"major_pos_vol"', "25100"),
    ('"sum_gex_oi"', "-72.63"),
)


@st.composite
def records(draw: Draw, timestamp: str) -> tuple[tuple[str, Tree], ...]:
    """Return a good record at a time, as odd as it may be."""
    pairs: dict[str, Tree] = {
        '"timestamp"': timestamp,
        '"ticker"': draw(_tickers),
        '"spot"': draw(_numbers),
        **(dict(_PLAIN) if draw(st.booleans()) else {}),
        '"strikes"': draw(st.one_of(st.lists(_strikes, max_size=4), st.sampled_from([[], "null"]))),
    }
    for name in draw(st.lists(st.sampled_from(OPTIONAL), max_size=3, unique=True)):
        pairs[f'"{name}"'] = draw(_figures)
    if draw(st.booleans()):
        pairs['"min_dte"'] = draw(_integers)
        pairs['"max_priors"'] = draw(_max_priors)
        pairs.update(draw(_unknown))
        pairs.pop(draw(st.sampled_from(['"strikes"', '"min_dte"', '"max_priors"', '"none"'])), None)
    named = [(_escaped(name, draw(st.booleans())), value) for name, value in pairs.items()]
    return tuple(draw(st.permutations(named)) if draw(st.booleans()) else named)


def _escaped(name: str, wanted: bool) -> str:
    return ESCAPED.get(name.strip('"'), name) if wanted else name


_in_order: Final = st.just(range(6)).map(lambda seconds: [str(OPEN_S + second) for second in seconds])
_anyhow: Final = st.lists(
    st.one_of(
        st.integers(OPEN_S, OPEN_S + 5).map(str),
        st.integers(0, 5000).map(lambda ms: f"{OPEN_S}.{ms:04d}"),
        st.floats(MIDNIGHT_S, NEXT_MIDNIGHT_S - 1).map(repr),
        st.sampled_from(["1.7631306e9", "17631306.00e+2", "1763096400", "1763182799.999", "1763130600.0005"]),
        st.sampled_from(["1763130600.0015", "1763130600.00049999", "1763130601e0", "1763182799.9994"]),
    ),
    min_size=6,
    max_size=6,
)


@st.composite
def documents(draw: Draw) -> list[Tree]:
    """Return the records of a good file."""
    timestamps = draw(st.one_of(_in_order, _anyhow))
    return [draw(records(timestamp)) for timestamp in timestamps[: draw(st.integers(1, 6))]]


_BLANKS: Final = " \t\r\n"


@st.composite
def layouts(draw: Draw, document: list[Tree]) -> str:
    """Return the text of a file in one of the forms that files have."""
    source = Random(draw(st.integers(0, 1000)))
    form = draw(
        st.sampled_from(["array", "array", "lines", "lines", "odd lines", "pretty", "odd", "a line each"])
    )
    if form == "pretty":
        return indented(document) + str(draw(st.sampled_from(["", "\n", "\r\n"])))
    if form == "odd":
        return source.choice(_BLANKS) + spaced(document, source, _BLANKS) + source.choice(_BLANKS)
    if form == "a line each":
        return "[\n" + ",\n".join(compact(record) for record in document) + "\n]\n"
    if form == "array":
        return compact(document)
    lines = [spaced(record, source, " \t") if form == "odd lines" else compact(record) for record in document]
    ending = draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\r\n", " \n "]))
    before, after = draw(st.sampled_from([("", ""), ("", ending), (ending, "")]))
    return f"{before}{ending.join(lines)}{after}"


@st.composite
def wrappings(draw: Draw, text: bytes) -> HistoryFile:
    """Return a file of some text: with a BOM or not, packed or not, with any name, and how it is imported."""
    data = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text
    pack = draw(st.sampled_from([0, 0, 0, 1, 2]))
    if pack:
        cut = draw(st.integers(0, len(data)))
        parts = [data] if pack == 1 else [data[:cut], b"", data[cut:]]
        data = b"".join(gzip.compress(part, 1, mtime=0) for part in parts)
    return HistoryFile(
        data,
        packed=draw(st.booleans()),
        day=draw(st.sampled_from([DAY, DAY, None])),
        max_out_of_day=draw(st.sampled_from([0, 0, 1, 3])),
        block_bytes=draw(st.sampled_from([1, 7, 64, 300, 1 << 20])),
    )


@st.composite
def good_files(draw: Draw) -> HistoryFile:
    """Return a file that must be imported."""
    text = draw(layouts(draw(documents())))
    return draw(wrappings(text.encode()))  # type: ignore[no-any-return]
