"""The two streams of a staged file: its records, and the rows in them, wherever its blocks end."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pytest

from services.importer.errors import StorageTrouble, UnreadableFile
from services.importer.reader.arrow_stream import StagedTable, error_of
from tests.support.importer.lake import a_record
from tests.support.importer.staged import BLOCKS, LINE, ONE, Read, reader_of, source_of, text_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "day.json"


@pytest.fixture
def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return what opens a stream of some content."""
    return reader_of(path, monkeypatch)


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


def test_a_stream_that_has_failed_says_so_again(read: Read) -> None:
    stream = read(text_of("", "!"), batch_rows=1)
    assert stream.read_next_batch().num_rows == 1
    for _ in range(2):
        with pytest.raises(pa.ArrowInvalid, match="record 2: expected a comma between two fields"):
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
    error = error_of(source_of(tmp_path), tmp_path, caught.value)
    assert isinstance(error, StorageTrouble)
    assert "reading the staged file failed: it cannot be read: Is a directory" in str(error)


def test_an_error_that_only_the_reader_finds_keeps_its_text(path: Path) -> None:
    path.write_text(f"{LINE} {LINE}")
    with duckdb.connect() as connection:
        connection.register("staged", StagedTable(source_of(path), path, rows=False, batch_rows=1))
        with pytest.raises(duckdb.InvalidInputException) as caught:
            connection.execute("FROM staged").fetchall()
    error = error_of(source_of(path), path, caught.value)
    assert isinstance(error, UnreadableFile)
    assert "day.json: record 2: expected the record on a line of its own (after byte 51); the file" in str(
        error
    )
