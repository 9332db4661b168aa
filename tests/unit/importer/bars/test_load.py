"""Days whose Parquet files are damaged or missing when the database and the files are compared."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from services.importer.bars.export import export_bars
from services.importer.bars.load import load_missing_days
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk

DAY, MONDAY = date(2025, 11, 14), date(2025, 11, 17)
ON_MONDAY = 3 * 1440


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    BarsOnLake(lake.lake).put(bars(*map(a_bar, range(50))), bars(a_bar(ON_MONDAY)))
    export_bars(lake.lake)
    yield lake
    lake.close()


@pytest.mark.parametrize("is_cut_off", [True, False])
def test_a_damaged_file_is_quarantined_and_the_other_days_are_loaded(
    lake: LakeOnDisk, *, is_cut_off: bool
) -> None:
    path = lake.lake.paths.bars(DAY)
    content = path.read_bytes()
    path.write_bytes(content[:-200] if is_cut_off else content[:-200] + bytes(200))
    lake.lake.close()
    lake.settings.paths.database.unlink()
    lake.reopen()
    assert load_missing_days(lake.lake) == 1
    assert lake.rows("SELECT trading_day FROM bar_days") == [(MONDAY,)]
    assert lake.rows("SELECT count(*) FROM ohlcv_1m") == [(1,)]
    (moved,) = lake.settings.paths.quarantine.glob("*/20251114.bars.parquet")
    assert "Request the flat file of the day again" in (moved.parent / "README.txt").read_text()
    assert BarsOnLake(lake.lake).put(bars(a_bar())).bars == 1


def test_a_missing_file_is_written_again(lake: LakeOnDisk) -> None:
    lake.lake.paths.bars(DAY).unlink()
    assert load_missing_days(lake.lake) == 0
    assert export_bars(lake.lake) == 1
    assert lake.lake.paths.bars(DAY).is_file()
