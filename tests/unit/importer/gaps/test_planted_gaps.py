"""Planted gaps in a lake of whole sessions: each is found, and no other."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from bench.workloads.planted_gaps import LAST_DAY, PlantedGap, fill, names, plant, sessions_before
from gexlake.api.chronox.bars import DetectGapsRequest, TradingDay
from services.importer.gaps.service import BarQueries
from services.intake.market_days import early_close, why_closed
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON


@pytest.mark.parametrize(
    ("symbols", "days", "count"), [(4, 30, 40), pytest.param(500, 250, 300, marks=pytest.mark.slow)]
)
def test_every_planted_gap_is_found_and_no_other(tmp_path: Path, symbols: int, days: int, count: int) -> None:
    lake = LakeOnDisk(tmp_path)
    sessions = sessions_before(LAST_DAY, days)
    # A change of the clocks, a holiday in the week and a half day.
    assert min(sessions) < date(2025, 11, 2)
    assert why_closed(date(2025, 11, 27))
    assert early_close(date(2025, 11, 28))
    planted = plant(symbols, sessions, count)
    fill(lake.lake, symbols, sessions, planted)
    trading = tuple(TradingDay(day=day, closes_early=early_close(day) is not None) for day in sessions)
    request = DetectGapsRequest(symbols=names(symbols), days=trading, from_the_start=True)
    BarQueries(lake.lake, lambda: NOON).detect(request)
    found = lake.rows('SELECT symbol, epoch_ms(start), epoch_ms("end") FROM bar_gaps ORDER BY ALL')
    assert [PlantedGap(*row) for row in found] == planted
    lake.close()
