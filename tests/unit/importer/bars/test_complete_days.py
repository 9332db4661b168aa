"""The days of which the vendor has answered: stored with the bars, and kept in the Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.importer.bars.export import export_bars
from services.importer.bars.load import load_missing_days
from shared.bus.consumer.batch import MessageFailed
from shared.massive.bars import BarSource
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON

REST = BarSource.REST
THURSDAY, FRIDAY, MONDAY = date(2025, 11, 13), date(2025, 11, 14), date(2025, 11, 17)
ALL = "FROM complete_bar_days ORDER BY symbol, trading_day"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


@pytest.fixture
def store(lake: LakeOnDisk) -> BarsOnLake:
    return BarsOnLake(lake.lake)


def test_an_answer_is_stored_for_each_weekday_of_its_range(lake: LakeOnDisk, store: BarsOnLake) -> None:
    store.put(bars(a_bar(), source=REST), bars(source=REST, complete=(FRIDAY, MONDAY)))
    assert lake.rows(ALL) == [("AAPL", FRIDAY, "rest", NOON), ("AAPL", MONDAY, "rest", NOON)]


def test_the_latest_answer_for_a_day_is_kept(lake: LakeOnDisk, store: BarsOnLake) -> None:
    later = NOON + timedelta(days=1)
    store.put(
        bars(source=REST, complete=(FRIDAY, FRIDAY), at=later),
        bars(source=REST, complete=(FRIDAY, FRIDAY), symbol="BRK.B"),
    )
    store.put(
        bars(source=REST, complete=(THURSDAY, FRIDAY)),
        bars(source=BarSource.FLAT_FILE, complete=(FRIDAY, FRIDAY), symbol="BRK.B", at=later),
    )
    assert lake.rows(ALL) == [
        ("AAPL", THURSDAY, "rest", NOON),
        ("AAPL", FRIDAY, "rest", later),
        ("BRK.B", FRIDAY, "flat_file", later),
    ]


def test_an_answer_of_adjusted_bars_says_nothing_of_those_as_traded(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(), source=REST, adjusted=True, complete=(FRIDAY, FRIDAY)))
    assert lake.rows(ALL) == []


@pytest.mark.parametrize("last", [THURSDAY, FRIDAY + timedelta(days=366)])
def test_an_answer_for_no_day_or_years_is_refused(store: BarsOnLake, last: date) -> None:
    with pytest.raises(MessageFailed, match="give 1 to 366 days"):
        store.put(bars(source=REST, complete=(FRIDAY, last)))


def test_a_database_that_is_created_again_has_the_answers_of_the_files(
    lake: LakeOnDisk, store: BarsOnLake
) -> None:
    store.put(bars(a_bar(), source=REST))
    export_bars(lake.lake)
    store.put(
        bars(source=REST, complete=(THURSDAY, FRIDAY)),
        bars(symbol="THIN", source=REST, complete=(FRIDAY, FRIDAY)),
    )
    assert export_bars(lake.lake) == 1
    lake.lake.close()
    lake.settings.paths.database.unlink()
    lake.reopen()
    load_missing_days(lake.lake)
    # No symbol has a bar of Thursday, so it has no file.
    assert lake.rows(ALL) == [("AAPL", FRIDAY, "rest", NOON), ("THIN", FRIDAY, "rest", NOON)]
