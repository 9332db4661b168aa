"""What a client asks for when it reads a range of snapshots."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from services.intake.errors import Unprocessable
from services.intake.snapshots.request import MAX_WITH_STRIKES, SnapshotsRequest
from services.intake.snapshots.times import MAX_MS, read_end, read_start

NOW = datetime(2025, 11, 15, 3, 0, tzinfo=UTC)
"""Still the 14th in New York."""


def read(**query: Any) -> SnapshotsRequest:
    return SnapshotsRequest.read({"ticker": "NQ_NDX", **query}, NOW)


def test_the_ticker_alone_is_todays_trading_day_without_an_end() -> None:
    assert read(ticker="nq_ndx") == SnapshotsRequest("NQ_NDX", "gex_zero", read_start("2025-11-14"), MAX_MS)


def test_an_end_alone_is_its_trading_day() -> None:
    asked = read(end="2025-11-12")
    assert (asked.start_ms, asked.end_ms) == (read_start("2025-11-12"), read_end("2025-11-12"))


def test_the_first_systems_name_of_the_ticker_is_read() -> None:
    assert SnapshotsRequest.read({"symbol": "SPX"}, NOW).ticker == "SPX"


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ({"ticker": "N Q"}, "ticker", "is not a ticker"),
        ({"endpoint": "state_gex_zero"}, "endpoint", "use one of gex_zero, gex_one, gex_full"),
        ({"start": "soon"}, "start", "is not a time"),
        ({"end": ""}, "end", "is not a time"),
        ({"limit": "10001"}, "limit", "less than or equal to 10000"),
        ({"cursor": "x"}, "cursor", "valid integer"),
        ({"strikes": "perhaps"}, "strikes", "boolean"),
        ({"source": "sea"}, "source", "'history' or 'live'"),
        ({"until": "2025-11-14"}, "until", "not permitted"),
        ({"start": "2025-11-14", "end": "2025-11-12"}, "start", "is after the end"),
    ],
)
def test_a_wrong_parameter_is_named(query: dict[str, str], field: str, text: str) -> None:
    with pytest.raises(Unprocessable, match=text) as refused:
        read(**query)
    assert refused.value.field == field


def test_a_missing_ticker_is_named() -> None:
    with pytest.raises(Unprocessable, match="required") as refused:
        SnapshotsRequest.read({}, NOW)
    assert refused.value.field == "ticker"


def test_the_parameters_of_the_next_page_ask_for_the_same_range_after_the_last_snapshot() -> None:
    asked = read(
        start="1", end="1763130600.25", limit="7", strikes="true", source="live", endpoint="gex_full"
    )
    following = SnapshotsRequest.read(dict(parse_qsl(asked.parameters(1763130600100))), NOW)
    assert (following.start_ms, following.end_ms) == (1000, 1763130600250)
    assert (following.limit, following.strikes, following.source) == (7, True, "live")
    assert (following.endpoint, following.first_ms) == ("gex_full", 1763130600101)


def test_a_page_with_strikes_has_fewer_snapshots() -> None:
    assert read(limit="10000", strikes="true").limit == MAX_WITH_STRIKES
