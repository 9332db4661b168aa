"""The two streams of a staged file: its records, and the rows in them, wherever its blocks end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pytest

from services.importer import staged_records
from services.importer.diagnosis_json import find_fault
from services.importer.errors import StorageTrouble, UnreadableFile
from services.importer.source import Source
from services.importer.staged_records import StagedTable, error_of
from services.importer.statements_duckdb import Interruption
from tests.support.lake import a_record

Read = Callable[..., pa.RecordBatchReader]

HEAD: Final = '"timestamp":1763130600,"ticker":"NQ_NDX","spot":5'
BLOCKS: Final = (1, 2, 3, 7, 64, 1 << 20)


def text_of(*fields: str) -> bytes:
    """Return an array of records, each with some text behind its first fields."""
    return f"[{','.join(f'{{{HEAD}{text}}}' for text in fields)}]".encode()


def source_of(path: Path, endpoint: str = "gex_zero") -> Source:
    return Source(
        path=path,
        endpoint=endpoint,
        ticker="NQ_NDX",
        day=None,
        job_id="",
        generation=1,
        sha256="",
        size_bytes=0,
        min_share=0.0,
        max_strays=0,
        interruption=Interruption(),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "day.json"


@pytest.fixture
def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return what opens a stream of some content."""

    def stream(
        content: bytes,
        *,
        rows: bool = False,
        endpoint: str = "gex_zero",
        batch_rows: int = 1000,
        block_bytes: int = 1 << 20,
    ) -> pa.RecordBatchReader:
        path.write_bytes(content)
        monkeypatch.setattr(staged_records, "BLOCK_BYTES", block_bytes)
        table = StagedTable(source_of(path, endpoint), path, rows=rows, batch_rows=batch_rows)
        return pa.RecordBatchReader.from_stream(table)

    return stream


def refused(read: Read, content: bytes, **choices: Any) -> str:
    """Return what the records are refused with, or if they are not, the rows in them."""
    for rows in (False, True):
        try:
            read(content, rows=rows, **choices).read_all().validate(full=True)
        except pa.ArrowInvalid as error:
            return str(error)
    return ""


def test_a_record_lands_value_for_value_and_what_it_lacks_is_null(read: Read) -> None:
    table = read(json.dumps([a_record(2, min_dte=None, note=1), a_record(3)]).encode()).read_all()
    table.validate(full=True)
    first, second = table.to_pylist()
    assert first["number"] == 1
    assert first["timestamp_ms"] == 1763130602000
    assert first["spot_price"] == 25002.25
    assert first["sum_gex_vol"] == -223.01
    assert first["min_dte"] is None
    assert first["sec_min_dte"] == 1
    assert first["put_wall_candidate1_pct"] is None
    assert first["max_priors"] == "[[25000,1.5],[25000,1.5],[25000,1.5],[25000,1.5],[25000,1.5],[25000,1.5]]"
    assert first["others"] == '["note"]'
    assert (second["number"], second["min_dte"], second["others"]) == (2, 0, None)


def test_rows_carry_their_record_and_what_is_left_out_is_null(read: Read) -> None:
    content = text_of(
        ',"strikes":[[1,2],[3,null,4.5,[ 5 , null,6e1 ]]]', ',"strikes":null', "", ',"strikes":[[7,8,9,null]]'
    )
    table = read(content, rows=True).read_all()
    table.validate(full=True)
    assert table.schema.names == ["number", "timestamp_ms", "strike", "gamma", "oi_gamma", "priors"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (1, 1763130600000, 1, 2, None, None),
        (1, 1763130600000, 3, None, 4.5, "[5,null,6e1]"),
        (4, 1763130600000, 7, 8, 9, None),
    ]


def test_rows_of_a_greek_have_seven_parts(read: Read) -> None:
    content = text_of(
        ',"mini_contracts":[[1,2,3,4],[1,2,3,null,[5],6,[7]]],"major_positive":8,"strikes":[[1,2]]'
    )
    rows = read(content, rows=True, endpoint="state_delta_zero").read_all().to_pylist()
    assert [tuple(row.values())[2:] for row in rows] == [
        (1, 2, 3, 4, None, None, None),
        (1, 2, 3, None, "[5]", 6, "[7]"),
    ]
    (record,) = read(content, endpoint="state_delta_zero").read_all().to_pylist()
    assert (record["major_positive"], record["others"]) == (8, '["strikes"]')


ODD: Final = (
    '\ufeff[ {"min_dte":1.5e1,"\\u0074imestamp" : 17631306000.005e-1,"sec_min_dte":-0.0,'
    '"ticker":"nq\\u005fndx","é\\ud83d\\ude00":{"strikes":[[1,2]],"a":[true,false,null,"😀\\n\\"}]"]},'
    '"strikes":[[1e2,-1.25E-2,null,[ 1 , null ]],[0.30000000000000004,12345678901234567890]] ,"spot":1e-400,'
    '"max_priors":[ {"a b":" \\\\ "} , "]" ]}\n\t, {"strikes":[ ],"spot":-0,"ticker":"NQ_NDX",'
    '"zero_gamma":123456789012345678901,"timestamp":1763130601}\r\n] '
).encode()


@pytest.mark.parametrize("block_bytes", [*range(1, 65), *range(65, len(ODD) + 2, 17)])
def test_wherever_a_block_ends_the_file_reads_the_same(read: Read, block_bytes: int) -> None:
    first, second = read(ODD, block_bytes=block_bytes, batch_rows=1).read_all().to_pylist()
    assert {name: value for name, value in first.items() if value is not None} == {
        "number": 1,
        "timestamp_ms": 1763130600000,
        "spot_price": 0,
        "min_dte": 15,
        "sec_min_dte": 0,
        "max_priors": '[{"a b":" \\\\ "},"]"]',
        "others": '["é\\ud83d\\ude00"]',
    }
    assert {name: value for name, value in second.items() if value is not None} == {
        "number": 2,
        "timestamp_ms": 1763130601000,
        "spot_price": 0,
        "zero_gamma": 123456789012345678901.0,
    }
    assert math.copysign(1, second["spot_price"]) == -1
    rows = read(ODD, rows=True, block_bytes=block_bytes, batch_rows=1).read_all().to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (1, 1763130600000, 100, -0.0125, None, "[1,null]"),
        (1, 1763130600000, 0.30000000000000004, 12345678901234567890.0, None, None),
    ]


@pytest.mark.parametrize(
    "number",
    [
        *(
            "0",
            "-0",
            "-0.0",
            "0e0",
            "0e99999999999999999999",
            "-0E-5",
            "1",
            "-7",
            "25000.25",
            "1e+2",
            "2.675",
        ),
        *("9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740995", "1e22", "1e23"),
        *("9007199254740992e22", "123456789012345678e22", "1e-22", "9007199254740993e-22", "1e-23"),
        *("9223372036854775807", "9999999999999999999", "18446744073709551616", "99999999999999999999"),
        *("123456789.0123456789", "0.0000000000000000001234567890123456789", "3.141592653589793238462"),
        *("5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308"),
        *("1e-400", "1e-99999999999999999999", "1.7976931348623157e308", "1.7976931348623158e308"),
        *("9" * 308, "0." + "0" * 400 + "1", "1." + "0" * 800 + "1", "1" + "0" * 400 + "e-400"),
        # Half-way between two doubles, and a little above.
        *(
            "9007199254740993.0",
            "9007199254740993.00000000000000000000000000000001",
            "1.00000000000000011102230246",
        ),
    ],
)
def test_a_number_is_the_nearest_double(read: Read, number: str) -> None:
    (record,) = read(text_of(f',"zero_gamma":{number}')).read_all().to_pylist()
    ((_, _, strike, *_),) = (
        row.values() for row in read(text_of(f',"strikes":[[{number},1]]'), rows=True).read_all().to_pylist()
    )
    assert record["zero_gamma"].hex() == strike.hex() == float(number).hex()


@pytest.mark.parametrize(
    "number", ["3", "-0.0", "3e1", "150e-1", "0.15e2", "2147483647.0", "-21474836480e-1"]
)
@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_an_integer_may_be_written_in_any_way(read: Read, number: str, block_bytes: int) -> None:
    (record,) = read(text_of(f',"min_dte":{number}'), block_bytes=block_bytes).read_all().to_pylist()
    assert record["min_dte"] == int(float(number))


def test_a_batch_ends_with_the_record_that_fills_it(read: Read) -> None:
    content = text_of(*[',"strikes":[[1,2],[3,4],[5,6]]'] * 5)
    assert [batch.num_rows for batch in read(content, rows=True, batch_rows=4)] == [6, 6, 3]
    assert [batch.num_rows for batch in read(content, batch_rows=2)] == [2, 2, 1]


def test_records_without_rows_are_no_end_of_the_rows(read: Read) -> None:
    empty = f',"note":"{"x" * (1 << 20)}","strikes":[]'
    content = text_of(*[empty] * 40, ',"strikes":[[1,2]]', *[empty] * 40, ',"strikes":[[3,4]]')
    rows = read(content, rows=True).read_all().to_pylist()
    assert [(row["number"], row["strike"]) for row in rows] == [(41, 1), (82, 3)]


def test_a_batch_ends_before_it_has_much_of_the_file_in_it(read: Read) -> None:
    padding = "x" * (1 << 20)
    content = text_of(*[f',"note":"{padding}","strikes":[[1,2]]'] * 40)
    assert [batch.num_rows for batch in read(content)] == [32, 8]


def test_many_rows_and_nulls_land_in_their_places(read: Read) -> None:
    expected = [(place, None if place % 3 else place / 2) for place in range(5000)]
    strikes = ",".join(f"[{strike},{'null' if gamma is None else gamma}]" for strike, gamma in expected)
    for block_bytes in (100, 1 << 20):
        table = read(text_of(f',"strikes":[{strikes}]'), rows=True, block_bytes=block_bytes).read_all()
        table.validate(full=True)
        assert list(zip(*table.select(["strike", "gamma"]).to_pydict().values(), strict=True)) == expected
        assert table["oi_gamma"].null_count == table["priors"].null_count == 5000


LINE: Final = f"{{{HEAD}}}"


@pytest.mark.parametrize(
    "content",
    ["\ufeff[{0}, {0}]", "[{0}\n,\r\n{0}\t]\n", "{0}\n{0}", "\n {0}\r\n\r\n{0}\n", "\ufeff{0} \n\t{0}"],
)
@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_an_array_and_one_record_a_line_are_read(read: Read, content: str, block_bytes: int) -> None:
    table = read(content.replace("{0}", LINE).encode(), block_bytes=block_bytes).read_all()
    assert table["number"].to_pylist() == [1, 2]


def test_an_array_of_nothing_has_no_records(read: Read) -> None:
    assert read(b" [ ] ").read_all().num_rows == 0


def field(*texts: str) -> list[bytes]:
    """Return files whose second record has a field more."""
    return [text_of("", "," + text) for text in texts]


def value(*texts: str) -> list[bytes]:
    """Return files with a value that nobody wants to know."""
    return field(*(f'"x":{text}' for text in texts))


def row(*texts: str) -> list[bytes]:
    """Return files with a second row of strikes."""
    return field(*(f'"strikes":[[1,2],{text}]' for text in texts))


def with_bytes(*texts: bytes) -> list[bytes]:
    """Return files with a string of such bytes."""
    return [text_of("", ',"x":"?"').replace(b"?", text) for text in texts]


ONE: Final = text_of("")
NESTED: Final = tuple(
    before * 64 + inner + after * 64 for before, inner, after in (("[", "", "]"), ("[", "1", "]"))
)
REFUSED: Final[dict[str, list[bytes]]] = {
    "record 2 has something that is no JSON value": value("nul", "nil", "tru", "fals", "n", "t1"),
    "record 2 has something that is no JSON number": [
        *value("NaN", "-", "+1", ".5", "5.", "1e", "1e+", "-Infinity", "--5", "1.e5", "-.5"),
        *value("", "[1,]", "[,]", "False", "'a'", "\0", "\xa0", "// 1", "]"),
        *field(*(f'"zero_gamma":{text}' for text in ("-", "+1", ".5", "5.", "1e", '"5"', "true", "[]", ""))),
        *field(*(f'"max_priors":{text}' for text in ("[1,]", "[NaN]", "[[-]]"))),
        *row("[1,2,]", "[,1]", "[1,NaN]", "[true,2]", "[1,2,3,[1,]]", "[1.,2]", "[1,+2]", "[[1],2]"),
        *row(*(f"[1,2,3,[{text}]]" for text in ("[1]", "true", "-", "NaN", ","))),
        ONE[:-1] + b',{"timestamp":null}]',
    ],
    "record 2 has a number that is not finite": [
        *field('"zero_gamma":1e999', f'"zero_gamma":{"9" * 400}', '"max_priors":[1,[-1e309]]'),
        *field('"min_dte":1e999'),
        *row("[1e999,1]", "[1,2,3,[1e999]]"),
    ],
    "record 2 has no whole number of 32 bits where one must be": field(
        *(f'"min_dte":{text}' for text in ("0.5", "2147483648", "-2147483649", "1e300", "15e-1"))
    ),
    "record 2 has no comma between two fields": [
        *value("nullx", "05", "0x10", "1_0", "5 5", "true1", '""""', '{"a":1 "b":2}', "1;"),
        *field('"zero_gamma":01'),
    ],
    "record 2 has no comma between two elements": [*value("[1 2]", "[05]", "[[]1]"), *row("[01,2]", "[1 2]")],
    "record 2 has no comma between two numbers": row("[1,2,3,[4 5]]", "[1,2,3,[04]]"),
    "record 2 has no comma between two rows": [*row("[1,2][3,4]", "[1,2]5"), *field('"strikes":[[1,2]')],
    "record 2 has no string where one must be": [
        *value("{1:2}", '{"a":1,}', "{,}"),
        *field("x:1", "", '"strikes":[[1,2]],]'),
        ONE[:-1] + b',{"ticker":5}]',
    ],
    "record 2 has no colon behind a name": [*value('{"a"}', '{"a",1}'), *field('"x"', '"x" 1'), *row('"1"')],
    "record 2 has a string with an escape that JSON does not know": value(
        '"\\x41"', '"\\\'"', '"\\U0041"', '"\\0"'
    ),
    "record 2 has a string with an escape that is not complete": value(
        '"\\u"', '"\\u12"', '"\\u12g4"', '"\\u+123"'
    ),
    "record 2 has a string with a control character in it": value('"\0"', '"\n"', '"\t"', '"\x1f"'),
    "record 2 is not UTF-8 text": [
        *with_bytes(b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe2\x82", b"\xe0\x9f\xbf"),
        *with_bytes(b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80"),
    ],
    "record 2 has a name with half of a surrogate pair": field(
        *(f'"{name}":1' for name in ("\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud800x", "\\uDBFF\\n"))
    ),
    "record 2 has a name twice": field('"spot":1', '"sp\\u006ft":1', '"strikes":[],"strikes":[]'),
    "record 2 has a null where a value must be": [
        *row("[null,2]"),
        ONE[:-1] + b',{"spot":null}]',
    ],
    "record 2 has no array where one must be": [
        *field(*(f'"max_priors":{text}' for text in ('"[]"', "{}", "1", "true"))),
        *row(*(f"[1,2,3,{text}]" for text in ("4", "true"))),
    ],
    "record 2 has no array of rows where one must be": field(
        *(f'"strikes":{text}' for text in ("5", "{}", '"[]"'))
    ),
    "record 2 has a row that is no array": row("5", "null", ""),
    "record 2 has a row with too few elements": row("[]", "[1]"),
    "record 2 has a row with too many elements": row("[1,2,3,[],5]"),
    "record 2 has something that is no JSON in its rows": [
        *row("{}", '["1",2]', '[1,2,"3"]'),
        *field('"strikes":[', '"strikes":[[1,2],'),
    ],
    "record 2 is nested too deeply": [
        *value(*NESTED, '{"a":' * 64 + "1" + "}" * 64, "[" * 100_000),
        *field(*(f'"max_priors":{text}' for text in NESTED)),
    ],
    "record 1 has a timestamp that is no time": [
        b'[{"timestamp":1e306,"ticker":"NQ_NDX","spot":1}]',
        b'{"timestamp":9223372036854776,"ticker":"NQ_NDX","spot":1}',
    ],
    "record 1 is of another ticker": [
        b'[{"timestamp":1,"ticker":%s,"spot":1}]' % text
        for text in (b'""', b'"SPX"', b'"NQ_NDX\\u0000"', b'"NQ"')
    ],
    "record 1 lacks a field that it must have": [b"[{}]", b"{}", b'{"timestamp":1,"ticker":"NQ_NDX"}'],
    "record 2 is no object": [
        ONE[:-1] + b"," + text + b"]" for text in (b"1", b"null", b"[]", b"", b",", b"\0")
    ],
    "record 2 does not follow a comma": [ONE[:-1] + text for text in (ONE[1:], b"1]", b"}]", b"\0]")],
    "record 2 comes behind the end of the array": [
        ONE + text for text in (b"]", b",", b"x", b"\0", b"{}", b"\xef\xbb\xbf")
    ],
    "it is neither an array of records nor one record a line": [
        *(b"", b" \n", b"null", b"17", b'"a"', b"<html>", b"\0", b"\xef\xbb\xbf", b"]", b"\xff\xfe[\0"),
        *(mark + ONE for mark in (b"\xef", b"\xef\xbb", b"\xbb\xbf", b"\xef\xbb\xbf" * 2)),
    ],
}
"""What is said of which files."""


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("says", REFUSED)
def test_what_breaks_a_rule_is_refused_and_told(read: Read, says: str, block_bytes: int) -> None:
    for content in REFUSED[says]:
        assert refused(read, content, block_bytes=block_bytes) == says, content[:200]


@pytest.mark.parametrize("says", REFUSED)
def test_the_slow_reader_finds_something_wrong_with_it_too(path: Path, says: str) -> None:
    for content in REFUSED[says]:
        path.write_bytes(content)
        assert find_fault(source_of(path)) is not None, content[:200]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{0} {0}", "record 2 does not begin on a line of its own"),
        ("{0}\r{0}", "record 2 does not begin on a line of its own"),
        ("{0},\n{0}", "record 2 does not begin on a line of its own"),
        ("{0}\n,{0}", "record 2 is no object"),
        ("{0}\n[{0}]", "record 2 is no object"),
        ("{0}\n{\n}", "record 2 goes over several lines, in a file of one record a line"),
    ],
)
@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_one_record_a_line_is_just_that(read: Read, content: str, says: str, block_bytes: int) -> None:
    assert refused(read, content.replace("{0}", LINE).encode(), block_bytes=block_bytes) == says


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
    monkeypatch.setattr(staged_records, "MAX_RECORD_BYTES", len(LINE) + 10)
    assert read(text_of("", ',"x":56789'), block_bytes=block_bytes).read_all().num_rows == 2
    for size in (6, 100, 10_000):
        content = text_of("", f',"x":{"5" * size}')
        assert refused(read, content, block_bytes=block_bytes) == "record 2 is too large"


def test_the_deepest_that_is_allowed_is_read(read: Read) -> None:
    deepest = "[" * 63 + "1" + "]" * 63
    (record,) = read(text_of(f',"x":{deepest},"max_priors":{deepest}')).read_all().to_pylist()
    assert record["max_priors"] == deepest


@pytest.mark.parametrize("nested", NESTED)
def test_what_is_nested_too_deeply_is_named(path: Path, nested: str) -> None:
    path.write_bytes(text_of(f',"x":{nested}'))
    assert "record 1: x is nested deeper than 64 levels" in str(find_fault(source_of(path)))


def test_a_stream_that_has_failed_says_so_again(read: Read) -> None:
    stream = read(text_of("", "!"), batch_rows=1)
    assert stream.read_next_batch().num_rows == 1
    for _ in range(2):
        with pytest.raises(pa.ArrowInvalid, match="record 2 has no comma between two fields"):
            stream.read_next_batch()


def test_a_stream_that_has_ended_stays_so(read: Read) -> None:
    stream = read(ONE)
    assert stream.read_next_batch().num_rows == 1
    for _ in range(2):
        with pytest.raises(StopIteration):
            stream.read_next_batch()


def test_streams_of_one_table_know_nothing_of_each_other(path: Path) -> None:
    path.write_bytes(text_of("", "", ""))
    table = StagedTable(source_of(path), path, rows=False, batch_rows=1)
    first, second = (pa.RecordBatchReader.from_stream(table) for _ in range(2))
    assert first.read_next_batch()["number"].to_pylist() == [1]
    assert second.read_all()["number"].to_pylist() == [1, 2, 3]
    assert first.read_all()["number"].to_pylist() == [2, 3]


def test_what_a_stream_has_given_outlives_it(read: Read) -> None:
    stream = read(text_of(',"max_priors":[[1, 2]]', ""), batch_rows=1)
    column = stream.read_next_batch()["max_priors"]
    del stream
    assert column.to_pylist() == ["[[1,2]]"]


def test_the_schema_needs_no_file(path: Path) -> None:
    table = StagedTable(source_of(path), path, rows=False, batch_rows=1)
    schema = pa.RecordBatchReader.from_stream(table).schema
    types = {field.name: str(field.type) for field in schema}
    assert (types["number"], types["spot_price"], types["min_dte"], types["others"]) == (
        "int64",
        "double",
        "int32",
        "string",
    )


def test_a_disk_that_fails_is_not_the_files_fault(tmp_path: Path) -> None:
    table = StagedTable(source_of(tmp_path), tmp_path, rows=False, batch_rows=1)
    with duckdb.connect() as connection:
        connection.register("staged", table)
        with pytest.raises(duckdb.InvalidInputException) as caught:
            connection.execute("FROM staged")
    error = error_of(source_of(tmp_path), caught.value)
    assert isinstance(error, StorageTrouble)
    assert "reading the staged file failed: it cannot be read: Is a directory" in str(error)


def test_what_only_the_reader_finds_is_told_in_its_words(path: Path) -> None:
    path.write_text(f"{LINE} {LINE}")
    with duckdb.connect() as connection:
        connection.register("staged", StagedTable(source_of(path), path, rows=False, batch_rows=1))
        with pytest.raises(duckdb.InvalidInputException) as caught:
            connection.execute("FROM staged").fetchall()
    error = error_of(source_of(path), caught.value)
    assert isinstance(error, UnreadableFile)
    assert "day.json: record 2 does not begin on a line of its own; the file was not imported" in str(error)
