"""A flat file becomes bars of its day, in the table and in Parquet, again and for more symbols."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from services.importer.bars import days
from services.importer.bars.export import export_bars, export_day
from services.importer.errors import NothingToImport, StorageTrouble, WorseData
from services.importer.flat_files import replace
from services.importer.flat_files.recovery import finish_flat_files
from shared.bus.connection import Bus
from shared.bus.messages import JobSkipped, PartitionImported
from shared.massive.bars import BarSource
from shared.massive.resources import FlatFile, MassiveUrls
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.flat_files import DAY, a_flat_job, a_line, import_flat_file, import_lines
from tests.support.importer.lake import LakeOnDisk
from tests.support.massive import published
from tests.support.values import NOON

BARS = "SELECT symbol, (timestamp - 1763130600000) // 60000, close, source FROM ohlcv_1m ORDER BY ALL"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


@pytest.fixture
def store(lake: LakeOnDisk) -> BarsOnLake:
    return BarsOnLake(lake.lake)


def assert_file_has_the_rows(lake: LakeOnDisk) -> None:
    """Assert that the day's file has the rows of the table in their order, and that no other file is left."""
    file = lake.lake.paths.bars(DAY)
    rows = lake.rows(f"FROM read_parquet('{file}')")
    assert rows == lake.rows("FROM ohlcv_1m ORDER BY symbol, timestamp, adjusted")
    assert not [path for path in lake.lake.paths.bars_root.rglob(".*") if path.is_file()]
    assert not list(lake.lake.paths.scratch.iterdir())


def test_the_bars_of_all_symbols_are_rows_and_one_sorted_file(lake: LakeOnDisk) -> None:
    event = import_lines(lake, a_line(), a_line(minute=1), a_line("BRK.B"), a_line("MTBpC", 2))
    assert isinstance(event, PartitionImported)
    assert event.counts == {"bars": 4, "symbols": 3, "rejected": 0}
    assert event.parquet_path == "ohlcv_1m/2025/20251114.bars.parquet"
    file = lake.lake.paths.bars(DAY)
    assert event.parquet_bytes == file.stat().st_size
    assert lake.rows("FROM ohlcv_1m WHERE symbol = 'BRK.B'") == [
        ("BRK.B", 1763130600000, 270.5, 271.0, 270.0, 270.75, 1200.5, None, 31, "flat_file", False, NOON)
    ]
    assert_file_has_the_rows(lake)
    assert export_bars(lake.lake) == 0
    answered = "SELECT symbol FROM complete_bar_days WHERE trading_day = '2025-11-14' ORDER BY symbol"
    assert lake.rows(answered) == [("AAPL",), ("BRK.B",), ("MTBpC",)]
    ledger = "SELECT status, records_processed, parquet_path, counts FROM gex_history_queue"
    counts = '{"bars": 4, "symbols": 3, "rejected": 0}'
    assert lake.rows(ledger) == [("completed", 4, event.parquet_path, counts)]


def test_the_published_flat_file_is_read_value_for_value(lake: LakeOnDisk) -> None:
    day = date(2025, 4, 16)
    job = a_flat_job(trading_day=day).model_copy(update={"base_url": MassiveUrls().url_of(FlatFile(day))})
    import_flat_file(lake, lake.stage(gzip.compress(published.FLAT_FILE.encode()), job))
    columns = "symbol, timestamp, open, high, low, close, volume, vwap, trades"
    assert lake.rows(f"SELECT {columns} FROM ohlcv_1m ORDER BY timestamp") == [
        ("AAPL", 1744792500000, 200.29, 200.63, 200.29, 200.5, 4930, None, 129),
        ("AAPL", 1744792560000, 200.39, 200.61, 200.34, 200.34, 1815, None, 57),
    ]


def test_only_registered_symbols_are_imported_and_those_without_trades_are_complete_too(
    lake: LakeOnDisk,
) -> None:
    lines = [a_line(), a_line("MSFT"), a_line("MSFTw")]
    import_lines(lake, *lines, symbols=["MSFT", "QUIET"])
    assert lake.rows(BARS) == [("MSFT", 0, 270.75, "flat_file")]
    assert lake.rows("SELECT symbol FROM complete_bar_days ORDER BY symbol") == [("MSFT",), ("QUIET",)]
    with pytest.raises(NothingToImport):
        import_lines(lake, *lines, symbols=[], job=a_flat_job(generation=2))


def test_the_same_file_is_skipped_until_a_symbol_is_registered(lake: LakeOnDisk, store: BarsOnLake) -> None:
    lines = [a_line(), a_line("MSFT")]
    import_lines(lake, *lines, symbols=["AAPL"])
    again = import_lines(lake, *lines, symbols=["AAPL"], job=a_flat_job(generation=2))
    assert isinstance(again, JobSkipped)
    assert (again.own_import, again.counts) == (True, {"bars": 1, "symbols": 1, "rejected": 0})
    # What REST has of AAPL since is later than the file: it is imported for the new symbol only.
    store.put(bars(a_bar(close=270.2), source=BarSource.REST))
    added = import_lines(lake, *lines, symbols=["AAPL", "MSFT"], job=a_flat_job(generation=3))
    assert isinstance(added, PartitionImported)
    assert added.counts == {"bars": 2, "symbols": 2, "rejected": 0}
    assert lake.rows(BARS) == [("AAPL", 0, 270.2, "rest"), ("MSFT", 0, 270.75, "flat_file")]
    assert_file_has_the_rows(lake)


def test_a_message_that_is_delivered_again_repeats_the_outcome(lake: LakeOnDisk) -> None:
    first = import_lines(lake, a_line())
    assert import_lines(lake, a_line()) == first


def test_the_file_beats_the_stream_and_keeps_what_it_lacks(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(
        bars(a_bar(), a_bar(1), a_bar(2)),
        bars(a_bar(), symbol="MSFT", source=BarSource.REST),
        bars(a_bar(), symbol="ADJ", source=BarSource.REST, adjusted=True),
    )
    export_bars(lake.lake)
    store.put(bars(a_bar(5)))
    import_lines(lake, a_line(close=270.1), a_line(minute=1), a_line("MSFT"))
    assert lake.rows(BARS) == [
        ("AAPL", 0, 270.1, "flat_file"),
        ("AAPL", 1, 270.75, "flat_file"),
        ("AAPL", 2, 270.75, "stream"),
        ("AAPL", 5, 270.75, "stream"),
        ("ADJ", 0, 270.75, "rest"),
        ("MSFT", 0, 270.75, "rest"),
    ]
    vwap = "SELECT vwap FROM ohlcv_1m WHERE symbol = 'AAPL' ORDER BY timestamp"
    assert lake.rows(vwap) == [(None,), (270.6,), (270.6,), (270.6,)]
    # Queries read the rows of this table in place of those of the file.
    assert lake.rows(BARS.replace("ohlcv_1m", "recent_bars")) == lake.rows(BARS)
    assert_file_has_the_rows(lake)
    assert export_bars(lake.lake) == 0
    assert lake.rows("SELECT count(*) FROM recent_bars") == [(0,)]


def test_a_corrected_file_replaces_for_all_symbols_of_the_one_before(lake: LakeOnDisk) -> None:
    lines = [a_line("MSFT", minute) for minute in range(20)]
    import_lines(lake, a_line(), *lines, symbols=["AAPL", "MSFT"])
    event = import_lines(
        lake, a_line(close=270.1), *lines[:-1], a_line("NEW"), symbols=["NEW"], job=a_flat_job(generation=2)
    )
    assert isinstance(event, PartitionImported)
    assert event.replaced_sha256 is not None
    assert lake.rows(f"SELECT symbol, count(*), min(close) FROM ({BARS}) GROUP BY ALL ORDER BY ALL") == [
        ("AAPL", 1, 270.1),
        ("MSFT", 19, 270.75),
        ("NEW", 1, 270.75),
    ]
    assert_file_has_the_rows(lake)
    few = {"symbols": ["NEW"], "job": a_flat_job(generation=3)}
    with pytest.raises(WorseData, match=r"2 bars, the partition holds 21"):
        import_lines(lake, a_line(), a_line("MSFT"), **cast("Any", few))
    import_lines(lake, a_line(), a_line("MSFT"), force=True, reason="right", **cast("Any", few))
    assert lake.rows("SELECT count(*) FROM ohlcv_1m") == [(2,)]


def test_an_import_into_a_new_database_keeps_what_the_days_file_has(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(9)))
    export_bars(lake.lake)
    lake.lake.close()
    lake.settings.paths.database.unlink()
    lake.reopen()
    import_lines(lake, a_line())
    assert lake.rows(BARS) == [("AAPL", 0, 270.75, "flat_file"), ("AAPL", 9, 270.75, "stream")]
    assert_file_has_the_rows(lake)


def test_an_export_that_an_import_has_overtaken_is_void(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar()))
    with lake.lake.reading() as connection:
        (before,) = days.dirty(connection)
    import_lines(lake, a_line("MSFT"))
    assert not export_day(lake.lake, before)
    assert_file_has_the_rows(lake)


class _Events:
    def __init__(self) -> None:
        self.published: list[PartitionImported] = []

    def clock(self) -> datetime:
        return datetime(2025, 11, 15, tzinfo=UTC)

    async def publish_event(self, event: PartitionImported) -> None:
        self.published.append(event)


@pytest.mark.parametrize("is_placed", [True, False])
def test_an_import_that_was_only_committed_is_finished(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch, *, is_placed: bool
) -> None:
    def died(*_: object) -> None:
        raise StorageTrouble("dying", RuntimeError())

    with monkeypatch.context() as patched:
        patched.setattr(replace, "complete" if is_placed else "rename_durably", died)
        with pytest.raises(StorageTrouble):
            import_lines(lake, a_line())
    assert lake.lake.paths.bars(DAY).is_file() == is_placed
    with pytest.raises(StorageTrouble):
        import_lines(lake, a_line())
    bus = _Events()
    asyncio.run(finish_flat_files(cast("Bus", bus), lake.lake))
    assert bus.published == [import_lines(lake, a_line())]
    assert_file_has_the_rows(lake)
    assert export_bars(lake.lake) == 0
    assert lake.rows("SELECT status FROM gex_history_queue") == [("completed",)]
