"""Days of bars are compared with their files, whether or not all is exported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from gexlake.api.services import VerifyRequest, VerifyResponse
from services.importer.bars.export import export_bars
from services.importer.queries.verify import Verification
from tests.support.importer.bars import BarsOnLake, a_bar, bars
from tests.support.importer.lake import LakeOnDisk

DAY = date(2025, 11, 14)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeOnDisk]:
    lake = LakeOnDisk(tmp_path)
    yield lake
    lake.close()


def verified(lake: LakeOnDisk, **request: object) -> VerifyResponse:
    return Verification(lake.lake, VerifyRequest.model_validate(request)).compare_others()


def test_a_days_file_is_compared_but_for_what_arrived_since_its_export(lake: LakeOnDisk) -> None:
    store = BarsOnLake(lake.lake)
    store.put(bars(a_bar(), a_bar(1)))
    assert verified(lake) == VerifyResponse(checked=1, differences=())
    export_bars(lake.lake)
    store.put(bars(a_bar(1, close=270.1), a_bar(2)))
    assert verified(lake) == VerifyResponse(checked=1, differences=())
    with lake.lake.writing() as connection:
        connection.execute("UPDATE ohlcv_1m SET close = 270.2 WHERE timestamp = ?", [a_bar().timestamp])
    (difference,) = verified(lake, endpoint="ohlcv_1m", trading_day=DAY).differences
    assert (difference.ticker, difference.trading_day) == ("us_stocks_sip", DAY)
    assert difference.problem.endswith("has 1 rows, the table has 1, of which 1 are not in the file")
    assert verified(lake, ticker="SPX").checked == 0


def test_a_file_that_is_damaged_or_missing_is_a_difference(lake: LakeOnDisk) -> None:
    BarsOnLake(lake.lake).put(bars(a_bar()))
    export_bars(lake.lake)
    path = lake.lake.paths.bars(DAY)
    path.write_bytes(path.read_bytes()[:-9])
    assert "cannot be compared" in verified(lake).differences[0].problem
    path.unlink()
    assert "is missing" in verified(lake).differences[0].problem
