"""What priority requests, and changes of their priority, may say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gexlake.api.jobs import Priority
from services.intake.errors import Unprocessable
from services.intake.history.request import HistoryRequest
from services.intake.priorities.prioritizer import Choice
from services.intake.requests.body import read_priority_change, read_priority_request
from services.intake.settings import IntakeSettings
from shared.bus.requests import Channel
from tests.support.values import BASE_URL, NOON

BODY = {"source_url": f"{BASE_URL}?sig=S3CRET", "data_type": "real_time", "market_symbol": "ndx"}


def read(optionable: tuple[str, ...] = (), **changes: Any) -> HistoryRequest:
    settings = IntakeSettings(optionable_symbols=optionable)
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not ...}
    return read_priority_request(body, settings.gate, settings.is_optionable, NOON, "key:12345678")


def nested(levels: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(levels - 1):
        metadata = {"inner": metadata}
    return metadata


def test_a_body_is_the_file_and_what_its_priority_depends_on() -> None:
    asked = read(
        requested_at="2025-11-14T12:00:05-05:00",
        metadata={"volume": 1, "link": "https://a.test/?sig=S3CRET", "api_key": "S3CRET"},
        priority="critical",
        reason=f"as {BASE_URL}?sig=S3CRET",
    )
    assert (asked.ticker, asked.endpoint, asked.base_url) == ("NQ_NDX", "gex_zero", BASE_URL)
    assert asked.url.endswith("?sig=S3CRET")
    assert asked.priority is Priority.CRITICAL
    origin = asked.origin
    assert (origin.channel, origin.data_type, origin.market_symbol) == (Channel.PRIORITY, "real_time", "NDX")
    assert origin.requested_at == NOON + timedelta(seconds=5)
    assert origin.client == "key:12345678"
    assert "S3CRET" not in repr(origin)
    assert origin.metadata["volume"] == 1


def test_a_name_without_ticker_and_endpoint_takes_them_from_the_body() -> None:
    asked = read(source_url="https://hist.gex.bot/day.json", metadata={"endpoint": "gex_one"})
    assert (asked.ticker, asked.endpoint, asked.trading_day) == ("NDX", "gex_one", None)


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"source_url": ...}, "source_url", "missing"),
        ({"source_url": "file:///a.json"}, "source_url", "string_pattern_mismatch"),
        ({"source_url": "https://evil.test/a.json"}, "source_url", "allowed_source"),
        ({"source_url": "https://hist.gex.bot/a"}, "source_url", "file_name"),
        ({"source_url": "https://hist.gex.bot/a.json"}, "metadata.endpoint", "missing"),
        ({"data_type": ...}, "data_type", "missing"),
        ({"data_type": "live"}, "data_type", "enum"),
        ({"market_symbol": ""}, "market_symbol", "string_too_short"),
        ({"market_symbol": "ABCD"}, "market_symbol", "optionable"),
        ({"market_symbol": "SPX"}, "market_symbol", "file"),
        ({"requested_at": "2025-11-14T17:00:06Z"}, "requested_at", "future"),
        ({"requested_at": "2025-11-14T17:00:00"}, "requested_at", "timezone_aware"),
        ({"requested_at": "0001-01-01T00:00:00+14:00"}, "requested_at", "range"),
        ({"metadata": {"note": "x" * 17_000}}, "metadata", "value_error"),
        ({"metadata": nested(21)}, "metadata", "value_error"),
        ({"metadata": {"volume": float("nan")}}, "metadata", "value_error"),
        ({"priority": "critical"}, "reason", "missing"),
        ({"priority": "critical", "reason": " "}, "reason", "string_too_short"),
        ({"reason": "because"}, "reason", "unused"),
        ({"priority_score": 1}, "priority_score", "extra_forbidden"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_field(changes: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        read(**changes)
    assert (refused.value.field, refused.value.rule) == (field, rule)
    assert str(refused.value).startswith(f"{field}: ")


@pytest.mark.parametrize("optionable", [("abcd",), ("*",)])
def test_the_setting_adds_symbols(optionable: tuple[str, ...]) -> None:
    url = BASE_URL.replace("NQ_NDX", "ABCD")
    assert read(optionable, source_url=url, market_symbol="abcd").ticker == "ABCD"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "priority_level"),
        ({"priority_level": "high", "priority_score": 0.8}, "priority_level"),
        ({"priority_level": "urgent"}, "priority_level"),
        ({"priority_score": 1.5}, "priority_score"),
        ({"priority_score": float("nan")}, "priority_score"),
        ({"priority_level": "high", "reason": " "}, "reason"),
        ({"priority_level": "high", "reason": None}, "reason"),
        ({"priority_level": "high", "deadline": "now"}, "deadline"),
    ],
)
def test_a_change_names_one_priority_and_a_reason(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        read_priority_change({"reason": "desk waits", **body}, "address:1.2.3.4")
    assert refused.value.field == field


def test_a_change_is_a_level_or_a_score() -> None:
    body = {"priority_score": 0, "reason": "it may wait"}
    assert read_priority_change(body, "c") == Choice(0.0, "it may wait", "c")
