"""One Parquet file a trading day, and what queries see before and after it is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from services.importer.bars.export import export_bars
from services.importer.bars.load import load_missing_days
from services.importer.queries.catalog import Catalog
from shared.massive.bars import BarSource
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk

DAY = date(2025, 11, 14)
NEXT_MONDAY = 3 * 1440
QUERY = "SELECT symbol, timestamp, close FROM ohlcv_1m ORDER BY ALL"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


@pytest.fixture
def store(lake: LakeOnDisk) -> BarsOnLake:
    return BarsOnLake(lake.lake)


def queried(catalog: Catalog, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query as its process finds them."""
    with duckdb.connect(str(catalog.current(query)), read_only=True) as connection:
        return connection.execute(query).fetchall()


def read(path: Path, query: str = "SELECT *") -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"{query} FROM read_parquet('{path}')").fetchall()


def test_a_day_is_one_file_of_all_symbols_sorted_by_symbol_and_time(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(1), a_bar(), symbol="MSFT"), bars(a_bar(2)), bars(a_bar(NEXT_MONDAY)))
    assert export_bars(lake.lake) == 2
    path = lake.lake.paths.bars(DAY)
    assert path == lake.settings.paths.data_dir / "parquet/ohlcv_1m/2025/20251114.bars.parquet"
    assert read(path, "SELECT symbol, timestamp") == [
        ("AAPL", a_bar(2).timestamp),
        ("MSFT", a_bar().timestamp),
        ("MSFT", a_bar(1).timestamp),
    ]
    assert read(path) == lake.rows("FROM ohlcv_1m WHERE timestamp < 1763182800000 ORDER BY symbol, timestamp")
    assert export_bars(lake.lake) == 0


def test_only_a_day_that_has_changed_is_written_again(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar()), bars(a_bar(NEXT_MONDAY)))
    export_bars(lake.lake)
    before = lake.lake.paths.bars(DAY).stat().st_mtime_ns
    store.put(bars(a_bar(NEXT_MONDAY, close=270.1)))
    store.put(bars(a_bar()))
    assert export_bars(lake.lake) == 1
    assert lake.lake.paths.bars(DAY).stat().st_mtime_ns == before
    assert not list(lake.lake.paths.bars_root.rglob(".*"))


def test_rows_stay_recent_until_the_export_after_that_of_their_file(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar()))
    recent = "SELECT count(*) FROM recent_bars"
    export_bars(lake.lake)
    assert lake.rows(recent) == [(1,)]
    store.put(bars(a_bar(1)))
    export_bars(lake.lake)
    assert lake.rows(recent) == [(1,)]
    export_bars(lake.lake)
    assert lake.rows(recent) == [(0,)]


def test_queries_read_every_bar_once_whether_or_not_its_file_is_written(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    catalog = Catalog(lake.lake)

    def found() -> list[tuple[object, ...]]:
        return queried(catalog, QUERY)

    first, second = a_bar(), a_bar(1)
    store.put(bars(first))
    assert found() == [("AAPL", first.timestamp, 270.75)]
    export_bars(lake.lake)
    assert found() == [("AAPL", first.timestamp, 270.75)]
    store.put(bars(a_bar(close=270.2), second, source=BarSource.REST), bars(a_bar(NEXT_MONDAY)))
    expected = [("AAPL", first.timestamp, 270.2), ("AAPL", second.timestamp, 270.75)]
    expected.append(("AAPL", a_bar(NEXT_MONDAY).timestamp, 270.75))
    assert found() == expected
    export_bars(lake.lake)
    export_bars(lake.lake)
    assert found() == expected


def test_longer_bars_are_views(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(
        bars(
            a_bar(0, open=270.1, vwap=270.0, volume=100.0, trades=1),
            a_bar(4, high=280.0, close=275.0, vwap=None, volume=50.5, trades=2),
            a_bar(5, low=1.0),
        )
    )
    start = a_bar().timestamp
    assert queried(
        Catalog(lake.lake), "SELECT * EXCLUDE (symbol, adjusted) FROM ohlcv_5m ORDER BY start"
    ) == [
        (start, 270.1, 280.0, 270.0, 275.0, 150.5, 270.0, 3, 2),
        (start + 300_000, 270.5, 271.0, 1.0, 270.75, 1200.5, 270.6, 31, 1),
    ]
    assert lake.rows("SELECT start, minutes FROM ohlcv_15m") == [(start, 3)]
    assert lake.rows("SELECT start, minutes FROM ohlcv_60m") == [(start - 1_800_000, 3)]
    assert lake.rows("SELECT trading_day, minutes FROM ohlcv_1d") == [(DAY, 3)]


def test_a_database_that_is_created_again_has_the_bars_of_the_files(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(), a_bar(NEXT_MONDAY)), bars(a_bar(), symbol="BRK.B", source=BarSource.REST))
    export_bars(lake.lake)
    before = lake.rows("FROM ohlcv_1m ORDER BY ALL")
    lake.lake.close()
    lake.settings.paths.database.unlink()
    lake.reopen()
    assert load_missing_days(lake.lake) == 2
    assert load_missing_days(lake.lake) == 0
    assert lake.rows("FROM ohlcv_1m ORDER BY ALL") == before
    assert export_bars(lake.lake) == 0
    again = BarsOnLake(lake.lake)
    assert again.put(bars(a_bar())).bars == 0
    assert again.put(bars(a_bar(), symbol="BRK.B")).bars == 0
    assert again.put(bars(a_bar(1))).bars == 1
    assert export_bars(lake.lake) == 1
