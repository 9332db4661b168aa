"""What the compiled reader refuses, and in which words; the slow reader finds fault with all of it, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest

from services.importer.errors import BadRecord
from services.importer.reader import arrow_stream, diagnosis
from services.importer.reader.diagnosis import refusal_of
from tests.support.importer.staged import BLOCKS, LINE, ONE, Read, reader_of, source_of, text_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "day.json"


@pytest.fixture
def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return what opens a stream of some content."""
    return reader_of(path, monkeypatch)


_AFTER: Final = re.compile(r" \(after byte \d+\)$")


def refused(read: Read, content: bytes, **choices: Any) -> str:
    """Return what the records are refused with, or the rows in them, without the place."""
    return _AFTER.sub("", located(read, content, **choices))


def located(read: Read, content: bytes, **choices: Any) -> str:
    """Return what the records are refused with, or if they are not, the rows in them."""
    for rows in (False, True):
        try:
            read(content, rows=rows, **choices).read_all().validate(full=True)
        except pa.ArrowInvalid as error:
            return str(error)
    return ""


def field(*texts: str) -> list[bytes]:
    """Return files whose second record has a field more."""
    return [text_of("", "," + text) for text in texts]


def value(*texts: str) -> list[bytes]:
    """Return files with a field that the format does not know."""
    return field(*(f'"x":{text}' for text in texts))


def row(*texts: str) -> list[bytes]:
    """Return files with a second row of strikes."""
    return field(*(f'"strikes":[[1,2],{text}]' for text in texts))


def with_bytes(*texts: bytes) -> list[bytes]:
    """Return files with a string of such bytes."""
    return [text_of("", ',"x":"?"').replace(b"?", text) for text in texts]


NESTED: Final = tuple(
    before * 64 + inner + after * 64 for before, inner, after in (("[", "", "]"), ("[", "1", "]"))
)
REFUSED: Final[dict[str, list[bytes]]] = {
    "record 2: expected a JSON value": value("nul", "nil", "tru", "fals", "n", "t1"),
    "record 2: expected a number": [
        *value("NaN", "-", "+1", ".5", "5.", "1e", "1e+", "-Infinity", "--5", "1.e5", "-.5"),
        *value("", "[1,]", "[,]", "False", "'a'", "\0", "\xa0", "// 1", "]"),
        *field(*(f'"zero_gamma":{text}' for text in ("-", "+1", ".5", "5.", "1e", '"5"', "true", "[]", ""))),
        *field(*(f'"max_priors":{text}' for text in ("[1,]", "[NaN]", "[[-]]"))),
        *row("[1,2,]", "[,1]", "[1,NaN]", "[true,2]", "[1,2,3,[1,]]", "[1.,2]", "[1,+2]", "[[1],2]"),
        *row(*(f"[1,2,3,[{text}]]" for text in ("[1]", "true", "-", "NaN", ","))),
        ONE[:-1] + b',{"timestamp":null}]',
    ],
    "record 2: expected a finite number": [
        *field('"zero_gamma":1e999', f'"zero_gamma":{"9" * 400}', '"max_priors":[1,[-1e309]]'),
        *field('"min_dte":1e999'),
        *row("[1e999,1]", "[1,2,3,[1e999]]"),
    ],
    "record 2: expected a 32-bit integer": field(
        *(f'"min_dte":{text}' for text in ("0.5", "2147483648", "-2147483649", "1e300", "15e-1"))
    ),
    "record 2: expected a comma between two fields": [
        *value("nullx", "05", "0x10", "1_0", "5 5", "true1", '""""', '{"a":1 "b":2}', "1;"),
        *field('"zero_gamma":01'),
    ],
    "record 2: expected a comma between two elements": [
        *value("[1 2]", "[05]", "[[]1]"),
        *row("[01,2]", "[1 2]"),
    ],
    "record 2: expected a comma between two numbers": row("[1,2,3,[4 5]]", "[1,2,3,[04]]"),
    "record 2: expected a comma between two rows": [*row("[1,2][3,4]", "[1,2]5"), *field('"strikes":[[1,2]')],
    "record 2: expected a string": [
        *value("{1:2}", '{"a":1,}', "{,}"),
        *field("x:1", "", '"strikes":[[1,2]],]'),
        ONE[:-1] + b',{"ticker":5}]',
    ],
    "record 2: expected a colon after a name": [
        *value('{"a"}', '{"a",1}'),
        *field('"x"', '"x" 1'),
        *row('"1"'),
    ],
    "record 2: unknown escape in a string": value('"\\x41"', '"\\\'"', '"\\U0041"', '"\\0"'),
    "record 2: incomplete escape in a string": value('"\\u"', '"\\u12"', '"\\u12g4"', '"\\u+123"'),
    "record 2: control character in a string": value('"\0"', '"\n"', '"\t"', '"\x1f"'),
    "record 2: invalid UTF-8": [
        *with_bytes(b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe2\x82", b"\xe0\x9f\xbf"),
        *with_bytes(b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80"),
    ],
    "record 2: half of a surrogate pair in a name": field(
        *(f'"{name}":1' for name in ("\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud800x", "\\uDBFF\\n"))
    ),
    "record 2: a name occurs twice": field('"spot":1', '"sp\\u006ft":1', '"strikes":[],"strikes":[]'),
    "record 2: expected a value, got null": [
        *row("[null,2]"),
        ONE[:-1] + b',{"spot":null}]',
    ],
    "record 2: expected an array": [
        *field(*(f'"max_priors":{text}' for text in ('"[]"', "{}", "1", "true"))),
        *row(*(f"[1,2,3,{text}]" for text in ("4", "true"))),
    ],
    "record 2: expected an array of rows": field(*(f'"strikes":{text}' for text in ("5", "{}", '"[]"'))),
    "record 2: expected a row that is an array": row("5", "null", ""),
    "record 2: too few elements in a row": row("[]", "[1]"),
    "record 2: too many elements in a row": row("[1,2,3,[],5]"),
    "record 2: invalid JSON in the rows": [
        *row("{}", '["1",2]', '[1,2,"3"]'),
        *field('"strikes":[', '"strikes":[[1,2],'),
    ],
    "record 2: nested too deeply": [
        *value(*NESTED, '{"a":' * 64 + "1" + "}" * 64, "[" * 100_000),
        *field(*(f'"max_priors":{text}' for text in NESTED)),
    ],
    "record 1: the timestamp is out of range": [
        b'[{"timestamp":1e306,"ticker":"NQ_NDX","spot":1}]',
        b'{"timestamp":9223372036854776,"ticker":"NQ_NDX","spot":1}',
    ],
    "record 1: expected the ticker of the job": [
        b'[{"timestamp":1,"ticker":%s,"spot":1}]' % text
        for text in (b'""', b'"SPX"', b'"NQ_NDX\\u0000"', b'"NQ"')
    ],
    "record 1: a required field is missing": [b"[{}]", b"{}", b'{"timestamp":1,"ticker":"NQ_NDX"}'],
    "record 2: expected an object": [
        ONE[:-1] + b"," + text + b"]" for text in (b"1", b"null", b"[]", b"", b",", b"\0")
    ],
    "record 2: expected a comma before the record": [
        ONE[:-1] + text for text in (ONE[1:], b"1]", b"}]", b"\0]")
    ],
    "record 2: unexpected text after the end of the array": [
        ONE + text for text in (b"]", b",", b"x", b"\0", b"{}", b"\xef\xbb\xbf")
    ],
    "it is neither an array of records nor one record a line": [
        *(b"", b" \n", b"null", b"17", b'"a"', b"<html>", b"\0", b"\xef\xbb\xbf", b"]", b"\xff\xfe[\0"),
        *(mark + ONE for mark in (b"\xef", b"\xef\xbb", b"\xbb\xbf", b"\xef\xbb\xbf" * 2)),
    ],
}
"""The error, and the files that are refused with it."""


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("message", REFUSED)
def test_a_file_that_breaks_a_rule_is_refused_with_its_error(
    read: Read, message: str, block_bytes: int
) -> None:
    for content in REFUSED[message]:
        assert refused(read, content, block_bytes=block_bytes) == message, content[:200]


@pytest.mark.parametrize("message", REFUSED)
def test_the_slow_reader_refuses_it_too(read: Read, path: Path, message: str) -> None:
    for content in REFUSED[message]:
        problem = located(read, content)
        assert problem not in str(refusal_of(source_of(path), path, problem)), content[:200]


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("layout", ["[{}]", "{}\n"])
def test_only_the_record_at_fault_is_read_again(
    read: Read, path: Path, layout: str, block_bytes: int
) -> None:
    before, after = layout.split("{}")
    good = LINE.encode()
    between = b"," if before else b"\n"
    bad = good.replace(b'"spot":5', b'"spot":"5"')
    content = before.encode() + between.join([good] * 9 + [bad] + [good]) + after.encode()
    problem = located(read, content, block_bytes=block_bytes)
    assert problem.endswith(f"(after byte {len(before) + 9 * len(good) + 8})")
    # A fault in an earlier record would be found if that was read.
    path.write_bytes(content.replace(b"NQ_NDX", b"XXXXXX", 8))
    error = refusal_of(source_of(path), path, problem)
    assert isinstance(error, BadRecord)
    assert str(error) == "day.json: record 10: spot is '5', not a number; the file was not imported"


def test_a_fault_beyond_the_budget_is_named_by_the_compiled_reader(
    read: Read, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = text_of("", "", f',"x":"{"5" * 1000}","min_dte":1.5')
    problem = located(read, content)
    assert "record 3: min_dte is 1.5" in str(refusal_of(source_of(path), path, problem))
    monkeypatch.setattr(diagnosis, "BUDGET_BYTES", 500)
    assert f"record 3: expected a 32-bit integer (after byte {2 * len(LINE) + 2})" in str(
        refusal_of(source_of(path), path, problem)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{0} {0}", "record 2: expected the record on a line of its own"),
        ("{0}\r{0}", "record 2: expected the record on a line of its own"),
        ("{0},\n{0}", "record 2: expected the record on a line of its own"),
        ("{0}\n,{0}", "record 2: expected an object"),
        ("{0}\n[{0}]", "record 2: expected an object"),
        ("{0}\n{\n}", "record 2: expected the whole record on one line"),
    ],
)
@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_one_record_a_line_needs_line_breaks_between_records(
    read: Read, content: str, message: str, block_bytes: int
) -> None:
    assert refused(read, content.replace("{0}", LINE).encode(), block_bytes=block_bytes) == message


@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_wherever_a_file_is_cut_off_it_is_refused(read: Read, block_bytes: int) -> None:
    content = text_of(',"x":["\\u0041é",-1.5e1,true],"strikes":[[1,2,3,[4]],[5,6]]', ',"min_dte":1')
    step = 1 if block_bytes in {7, 1 << 20} else 7
    for end in range(1, len(content), step):
        number = 1 + (end > content.index(b"}"))
        assert refused(read, content[:end], block_bytes=block_bytes) == (
            f"the file is cut off in record {number + (end == len(content) - 1)}"
        )


@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_a_record_may_be_so_large_and_no_larger(
    read: Read, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(arrow_stream, "MAX_RECORD_BYTES", len(LINE) + 10)
    assert read(text_of("", ',"x":56789'), block_bytes=block_bytes).read_all().num_rows == 2
    for size in (6, 100, 10_000):
        content = text_of("", f',"x":{"5" * size}')
        assert refused(read, content, block_bytes=block_bytes) == "record 2: too large"


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("layout", ["[{}]", "{}\n"])
def test_so_many_records_may_be_in_a_file_and_no_more(
    read: Read, path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, block_bytes: int
) -> None:
    monkeypatch.setattr(arrow_stream, "MAX_RECORDS", 3)
    between = "," if "[" in layout else "\n"

    def content(count: int) -> bytes:
        return layout.replace("{}", between.join([LINE] * count)).encode()

    assert read(content(3), block_bytes=block_bytes).read_all().num_rows == 3
    problem = located(read, content(4), block_bytes=block_bytes)
    assert problem.startswith("record 4: too many records (after byte ")
    assert problem in str(refusal_of(source_of(path), path, problem))


def test_the_deepest_that_is_allowed_is_read(read: Read) -> None:
    deepest = "[" * 63 + "1" + "]" * 63
    (record,) = read(text_of(f',"x":{deepest},"max_priors":{deepest}')).read_all().to_pylist()
    assert record["max_priors"] == deepest


@pytest.mark.parametrize("nested", NESTED)
def test_what_is_nested_too_deeply_is_named(read: Read, path: Path, nested: str) -> None:
    problem = located(read, text_of(f',"x":{nested}'))
    error = refusal_of(source_of(path), path, problem)
    assert "record 1: x is nested deeper than 64 levels" in str(error)
