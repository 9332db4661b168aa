"""What the lake has of symbols: bars as traded, and days for which the vendor has answered."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from gexlake.api.chronox.bars import BarCoverageRequest, DayRange, SymbolCoverage
from services.importer.gaps.service import BarQueries
from shared.massive.bars import BarSource
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON

REST = BarSource.REST


def test_bars_are_counted_and_answers_joined_across_weekends(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    BarsOnLake(lake.lake).put(
        bars(a_bar(), a_bar(1), a_bar(1440 * 4)),
        bars(a_bar(2), source=REST, adjusted=True),
        bars(source=REST, complete=(date(2025, 11, 6), date(2025, 11, 10))),
        bars(source=REST, complete=(date(2025, 11, 11), date(2025, 11, 11))),
        bars(source=REST, complete=(date(2025, 11, 13), date(2025, 11, 30))),
        bars(a_bar(), symbol="MSFT", source=REST),
    )
    request = BarCoverageRequest(
        symbols=("NEW", "AAPL", "AAPL"), first=date(2025, 11, 1), last=date(2025, 11, 17)
    )
    assert BarQueries(lake.lake, lambda: NOON).coverage(request).symbols == (
        SymbolCoverage(symbol="NEW", bars=0),
        SymbolCoverage(
            symbol="AAPL",
            bars=2,
            first_bar=datetime(2025, 11, 14, 14, 30, tzinfo=UTC),
            last_bar=datetime(2025, 11, 14, 14, 31, tzinfo=UTC),
            complete=(
                DayRange(first=date(2025, 11, 6), last=date(2025, 11, 11)),
                DayRange(first=date(2025, 11, 13), last=date(2025, 11, 17)),
            ),
        ),
    )
    lake.close()
