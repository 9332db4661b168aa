"""Hypothesis strategies that write spoilt history files: a rule broken, no JSON, cut off, something else."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from tests.support.files.history_files import (
    ESCAPED,
    OPTIONAL,
    Draw,
    HistoryFile,
    documents,
    layouts,
    wrappings,
)
from tests.support.files.json_trees import Tree, compact

BAD_NUMBERS: Final = (
    *("NaN", "Infinity", "-Infinity", "nan", "inf", "-inf", "Inf", "1e999", "-1e999", '"5"', '""'),
    *("true", "false"),
    *("[]", "[5]", "+5", ".5", "5.", "05", "1e", "0x10", "1_000", "5,", "- 5", "undefined", '"NaN"'),
    *("--5", "5 5"),
    *("9" * 400, "{}", '{"a":1}', "null"),
)
BAD_STRIKES: Final = (
    *("[]", "[1]", "[1,2,3,[],5]", "[null,2]", '[1,"2"]', "[1,true]", '[1,2,"3"]', "5", "null", '"1"'),
    *('{"strike":1}', "[1,2,3,4]", '[1,2,3,"4"]', '[1,2,3,["4"]]', "[1,2,3,[true]]", "[1,2,3,[[1]]]"),
    *('[1,2,3,[{"a":1}]]', "[1,2,3,{}]", "[NaN,1]", "[1,Infinity]", "[1,2,3,[NaN]]", "[1,2,3,[1e999]]"),
    *("[1e999,1]", "[1,2,]", "[1,2,3,[1,]]", "[1,2,3,[4],]", "[true,2]", "[[1],2]", "[1,2,false]"),
    *("[1,-1e999]", "[1,2,[],[]]", "[1,2,{},[]]", "[1 2]", "[1,2,3,[4 5]]", "[1,2,3,[4,[]]]", "[1,2,nan]"),
    *("[1,2,3,[null,[4]]]", "[1,2,3,[-inf]]", "[1,2,nul]", "[1,2,-]", "[1,2,3,[-]]", "[1,2]]", "[[1,2]"),
    *(
        "[+1,2]",
        "[01,2]",
        "[1.,2]",
        "[.1,2]",
        "[1e,2]",
        "[1,2,3,[1.]]",
        "[1,2,3,[05]]",
        "[1,2,3,[,]]",
        "[,1]",
    ),
)
OUT_OF_DAY_TIMES: Final = (
    *("1763096399.9994", "1763096399.9996", "1763182799.9996", "1763182800", "1763044200", "0", "-1"),
    "1e300",
    *("1763130600000", "253402300800", "253402232400", "-1e15", "1e-9", "-62135596800"),
)
_FIELDS: Final = (
    '"timestamp"',
    '"ticker"',
    '"spot"',
    '"zero_gamma"',
    '"min_dte"',
    '"strikes"',
    '"max_priors"',
)


@st.composite
def spoilt_records(draw: Draw, record: tuple[tuple[str, Tree], ...]) -> Tree:
    """Return a record with something wrong in it."""
    pairs = dict(record)
    name = draw(st.sampled_from([*_FIELDS, *(f'"{name}"' for name in OPTIONAL[:3])]))
    how = draw(
        st.sampled_from(["value", "value", "gone", "twice", "strike", "strike", "time", "ticker", "whole"])
    )
    if how == "value":
        pairs[name] = draw(st.sampled_from(BAD_NUMBERS))
    elif how == "gone":
        pairs.pop(name, None)
    elif how == "twice":
        again = (ESCAPED.get(name.strip('"')) or name, draw(st.sampled_from(["1", "null", '"NQ_NDX"', "[]"])))
        place = draw(st.integers(0, len(pairs)))
        return (*tuple(pairs.items())[:place], again, *tuple(pairs.items())[place:])
    elif how == "strike":
        held = pairs.get('"strikes"')
        strikes = list(held) if isinstance(held, list) else []
        strikes.insert(draw(st.integers(0, len(strikes))), draw(st.sampled_from(BAD_STRIKES)))
        pairs['"strikes"'] = strikes
        if draw(st.booleans()):
            pairs['"nested"'] = '{"strikes":[[1,2]]}'
    elif how == "time":
        pairs['"timestamp"'] = draw(st.sampled_from(OUT_OF_DAY_TIMES))
    elif how == "ticker":
        pairs['"ticker"'] = draw(
            st.sampled_from(['"SPX"', '""', '"NQ_NDX "', "5", "null", '["NQ_NDX"]', '"nq-ndx"'])
        )
    else:
        return draw(st.sampled_from(["5", "null", '"text"', [], (), [["1"]], (('"error"', '"expired"'),)]))  # type: ignore[no-any-return]
    return tuple(pairs.items())


@st.composite
def files_with_a_spoilt_record(draw: Draw) -> HistoryFile:
    """Return a file in which one record, or two, break a rule, or are no JSON."""
    document = draw(documents())
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        place = draw(st.integers(0, len(document) - 1))
        if isinstance(document[place], tuple):
            document[place] = draw(spoilt_records(document[place]))
    return draw(wrappings(draw(layouts(document)).encode()))  # type: ignore[no-any-return]


GARBAGE: Final = (
    b"x",
    b"]",
    b"[",
    b"{}",
    b"[]",
    b",",
    b"null",
    b"\x00",
    b"\xff",
    b'{"timestamp":1}',
    b"\xef\xbb\xbf",
    b"5",
)
NO_FILES: Final = (
    *(b"", b" \r\n\t", b"[]", b" [ ] ", b"\xef\xbb\xbf", b"\xef\xbb\xbf[]", b"[,]", b"[", b"]", b"{"),
    *(b"null", b"17"),
    *(b'{"error": "expired"}', b"<!DOCTYPE html><html><body>403</body></html>", b"<?xml?>"),
    *(b'"text"', b"[[]]"),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"[{" * 50_000, b"[" * 5000 + b"]" * 5000, b"[{}]"),
    *(b"[{},{}]", b"{}"),
)


@st.composite
def damaged_files(draw: Draw) -> HistoryFile:
    """Return the file of a good document that was cut off, garbled, recoded, or is something else."""
    document = draw(documents())
    text = draw(layouts(document))
    data = text.encode()
    place = draw(st.integers(0, len(data) - 1))
    how = draw(
        st.sampled_from(
            ["cut", "cut", "byte", "insert", "drop", "after", "other", "code", "bomb", "split", "gzip"]
        )
    )
    garbage = draw(st.sampled_from(GARBAGE))
    if how == "other":
        data = draw(st.sampled_from(NO_FILES))
    elif how == "code":
        data = text.encode(draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32"])))
        data = draw(
            st.sampled_from([data, text.encode("latin-1", "replace").replace(b"?", b"\xe9") + b"\xe9"])
        )
    elif how == "bomb":
        bomb = (
            b'"x":' + b"[" * 100_000,
            b'"x":' + b'{"a":' * 80 + b"1" + b"}" * 80,
            b'"x":' + b"[" * 63 + b"]" * 63,
        )
        data = data.replace(b'"spot"', draw(st.sampled_from(bomb)) + b',"spot"', 1)
    elif how == "split" and len(document) > 1:
        data = compact(document[0]).encode() + draw(
            st.sampled_from([b" ", b",", b"\n,", b",\n", b"\n[", b"\r"])
        )
        data += compact(document[1]).encode()
    else:
        data = _damaged(data, how, place, garbage)
    file: HistoryFile = draw(wrappings(data))
    if how == "gzip":
        return replace(
            file, data=_damaged(file.data, draw(st.sampled_from(["cut", "byte", "after"])), place, garbage)
        )
    return file


def _damaged(data: bytes, how: str, place: int, garbage: bytes) -> bytes:
    place = min(place, len(data))
    changed = {
        "cut": data[:place],
        "byte": data[:place] + garbage + data[place + len(garbage) :],
        "insert": data[:place] + garbage + data[place:],
        "drop": data[:place] + data[place + 1 :],
        "after": data + garbage,
    }
    return changed.get(how, data)
