"""How many symbols one question to the importer names."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

import pytest

from gexlake.api.chronox.bars import BarCoverageRequest, BarCoverageResponse, DayRange, SymbolCoverage
from services.intake.bars.coverage import BarCoverage


@pytest.mark.parametrize(("first", "at_once"), [(date(2024, 11, 28), 250), (date(2003, 1, 1), 28)])
async def test_a_long_history_is_asked_for_in_smaller_parts(
    monkeypatch: pytest.MonkeyPatch, first: date, at_once: int
) -> None:
    asked: list[int] = []

    async def call(_client: Any, _endpoint: Any, request: BarCoverageRequest, _s: float) -> Any:
        asked.append(len(request.symbols))
        return BarCoverageResponse(
            symbols=tuple(SymbolCoverage(symbol=symbol, bars=1) for symbol in request.symbols)
        )

    class Link:
        def require(self) -> Any:
            return self

        client = None

    monkeypatch.setattr("services.intake.bars.coverage.call", call)
    symbols = [f"S{number}" for number in range(300)]
    days = DayRange(first=first, last=date(2026, 11, 27))
    found = await BarCoverage(cast("Any", Link())).of(symbols, days)
    assert list(found) == symbols
    assert max(asked) == at_once
