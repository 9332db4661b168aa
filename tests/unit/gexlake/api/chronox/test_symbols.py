"""Strategies, statuses, and what a client may set."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gexlake.api.chronox.symbols import NewSymbol, Phase, StatusChange, Strategy, SymbolStatus


@pytest.mark.parametrize(
    ("strategy", "phases"),
    [
        (Strategy.FLATPACK, [Phase.BACKFILL]),
        (Strategy.SNAPSHOT, [Phase.SNAPSHOT]),
        (Strategy.STREAM, [Phase.STREAM]),
        (Strategy.FLATPACK_API, [Phase.BACKFILL]),
        (Strategy.SNAPSHOT_STREAM, [Phase.SNAPSHOT, Phase.STREAM]),
        (Strategy.FLATPACK_SNAPSHOT_STREAM, [Phase.BACKFILL, Phase.SNAPSHOT, Phase.STREAM]),
    ],
)
def test_a_strategy_has_phases_in_their_order(strategy: Strategy, phases: list[Phase]) -> None:
    assert list(strategy.phases) == phases


@pytest.mark.parametrize("spelling", ["flatpack_api", "flatpack+api", "FLATPACK_API", " Flatpack+API "])
def test_spellings_of_the_first_system_are_accepted(spelling: str) -> None:
    assert NewSymbol(symbol="AAPL", strategy=spelling).strategy is Strategy.FLATPACK_API


def test_only_runs_set_running_and_only_errors_have_a_message() -> None:
    assert StatusChange(status=SymbolStatus.ERROR, error_message="Rate limit exceeded").error_message
    with pytest.raises(ValidationError, match="only a run sets running"):
        StatusChange(status=SymbolStatus.RUNNING)
    with pytest.raises(ValidationError, match="only the status error has one"):
        StatusChange(status=SymbolStatus.IDLE, error_message="x")


def test_metadata_are_small() -> None:
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(ValidationError, match="it is nested deeper than 20 levels"):
        NewSymbol(symbol="AAPL", strategy=Strategy.STREAM, metadata=deep)
    with pytest.raises(ValidationError, match="it has 5009 bytes as JSON, over 4096"):
        NewSymbol(symbol="AAPL", strategy=Strategy.STREAM, metadata={"a": "x" * 5000})
