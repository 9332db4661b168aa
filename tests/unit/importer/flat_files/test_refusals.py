"""Files that are refused, rows that are rejected, and oddities that the vendor's files have had."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.importer.errors import BadFlatFile, NoRecords, UnreadableFile
from shared.bus.messages import PartitionImported
from shared.errors import Terminal
from tests.support.importer.bars import OPEN_MS
from tests.support.importer.flat_files import (
    HEADER,
    a_flat_job,
    a_line,
    import_flat_file,
    import_lines,
    packed,
)
from tests.support.importer.lake import LakeOnDisk

GOOD = packed(a_line(), a_line(minute=1))
NS_OF_A_DAY = 86_400_000_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


@pytest.mark.parametrize(
    ("content", "expected", "message"),
    [
        (b'{"status":"ERROR"}', UnreadableFile, 'expected gzip data, but the file begins with b\'{"status"'),
        (GOOD[:-9], UnreadableFile, "its gzip data is cut off or damaged"),
        (GOOD[:-6] + b"\0" + GOOD[-5:], UnreadableFile, "its gzip data is cut off or damaged"),
        (gzip.compress(b""), UnreadableFile, "its first line has no column ticker, open"),
        (gzip.compress(b'{"a": 1}\n'), UnreadableFile, "its first line has no column ticker"),
        (packed(a_line(), header=HEADER.replace("low", "last")), UnreadableFile, "has no column low"),
        (packed(a_line(), header=HEADER + ",low"), UnreadableFile, "has a column twice"),
        (packed(), NoRecords, "holds no records"),
        (
            packed(*(a_line(minute=minute, window_start=1) for minute in range(3)), a_line()),
            BadFlatFile,
            "3 of 4 rows are no correct bars, more than 1.00%; nothing was changed: window_start is not w",
        ),
        (packed("what,is,this", a_line()), BadFlatFile, r"1 of 2 rows .*such as 'what,is,this'"),
    ],
    ids=[
        *("JSON", "cut off", "checksum", "empty", "no CSV", "a column lacks", "a column twice", "no rows"),
        *("another day", "other lines"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_changes(
    lake: LakeOnDisk, content: bytes, expected: type[Terminal], message: str
) -> None:
    with pytest.raises(expected, match=message):
        import_flat_file(lake, lake.stage(content, a_flat_job()))
    for table in ("ohlcv_1m", "bar_days", "complete_bar_days", "flat_files", "gex_history_queue"):
        assert lake.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert not list(lake.lake.paths.bars_root.iterdir())


def test_a_few_incorrect_rows_are_rejected_with_their_reasons(lake: LakeOnDisk) -> None:
    event = import_lines(
        lake,
        *(a_line(symbol, minute) for symbol in ("AAPL", "IBM") for minute in range(600)),
        a_line("MSFT", low=0),
        a_line("MSFT", 1, high="nan"),
        a_line("MSFT", 2, volume=-1),
        a_line("MSFT", 3, open=270.9, high=270.8),
        a_line("MSFT", window_start=OPEN_MS * 1_000_000 + 1),
        a_line("MSFT", window_start=OPEN_MS * 1_000_000 - NS_OF_A_DAY),
        a_line("WAYTOOLONGNAME"),
        a_line("MSFT", 4, open="x"),
        "MSFT,1",
        a_line("MSFT", 5),
    )
    assert isinstance(event, PartitionImported)
    assert event.counts == {"bars": 1201, "symbols": 3, "rejected": 9}
    ((reasons,),) = lake.rows("SELECT reasons FROM flat_files")
    text = "\n".join(reasons)
    for reason in (
        "a price is missing or not above 0 (2, such as",
        "volume is missing or below 0 (1,",
        "open or close is not between low and high (1,",
        "window_start is not the start of a minute (1,",
        "window_start is not within 2025-11-14 in New York (1,",
        "ticker is no symbol (1, such as 'WAYTOOLONGNAME",
        "open cast (1, such as 'MSFT,1200.5,x",
        "missing columns (1, such as 'MSFT,1')",
    ):
        assert reason in text


def test_a_second_row_of_a_minute_with_volume_0_is_dropped_and_case_is_kept(lake: LakeOnDisk) -> None:
    event = import_lines(
        lake,
        a_line("DBrw"),
        a_line("AAPL", 1, volume=0, close=270.1),
        a_line("AAPL", 1),
        a_line("AAPL", 0),
        a_line("AAPL", 0, volume=0, close=270.1),
        a_line("DBRW"),
    )
    assert isinstance(event, PartitionImported)
    assert event.counts == {"bars": 4, "symbols": 3, "rejected": 0}
    assert lake.rows("SELECT symbol, close, volume FROM ohlcv_1m ORDER BY symbol, timestamp") == [
        ("AAPL", 270.75, 1200.5),
        ("AAPL", 270.75, 1200.5),
        ("DBRW", 270.75, 1200.5),
        ("DBrw", 270.75, 1200.5),
    ]
    assert lake.rows("SELECT duplicates FROM flat_files") == [(2,)]


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        ("window_start,ticker,low,high,close,open", "{ns},SPX,1,4,3,2", (2, 4, 1, 3, 0, None)),
        (
            f"{HEADER},otc,dv",
            "SPX,0.5,2,3,4,1,{ns},,true,0.5",
            (2, 4, 1, 3, 0.5, None),
        ),
        ('"ticker","volume","open","close","high","low","window_start"\r', '"SPX",7,2,3,4,1,{ns}\r', None),
    ],
    ids=["another order, without volume and transactions", "more columns", "quotes"],
)
def test_columns_are_read_by_their_names(
    lake: LakeOnDisk, header: str, line: str, expected: tuple[object, ...] | None
) -> None:
    content = packed(line.format(ns=OPEN_MS * 1_000_000), header=header)
    import_flat_file(lake, lake.stage(content, a_flat_job()))
    stored = lake.rows("SELECT open, high, low, close, volume, trades FROM ohlcv_1m")
    assert stored == [expected or (2, 4, 1, 3, 7, None)]
