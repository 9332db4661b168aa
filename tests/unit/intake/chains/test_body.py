"""The body of ``POST /api/v1/snapshots``: what it becomes, and what is refused by which field."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.intake.chains.body import read_chain
from services.intake.errors import Refused
from shared.bus.feeds.chain_messages import MAX_STRIKES, ChainStrike
from tests.support.values import NOON

STRIKE: dict[str, Any] = {"strike_price": 6730, "call_open_interest": 10, "put_open_interest": 20}
FULL: dict[str, Any] = {
    **STRIKE,
    "call_volume": 1,
    "put_volume": 2,
    "call_bid": 0.5,
    "call_ask": 0.75,
    "put_bid": 1.5,
    "put_ask": 1.75,
    "gamma": 0.25,
    "delta": -0.5,
    "theta": -1.25,
    "vega": 2,
}
BODY: dict[str, Any] = {
    "market_symbol": "SPX",
    "snapshot_date": "2025-11-14",
    "snapshot_time": "11:59:58",
    "strikes": [FULL, STRIKE],
}
ID = "0b8f7a52-51a8-4c2e-9d1e-6a3f52f7a001"


def a_body(**changes: Any) -> bytes:
    return json.dumps(BODY | changes).encode()


def with_strike(**changes: Any) -> dict[str, Any]:
    return {"strikes": [STRIKE, FULL | changes]}


def ms(hour: int, minute: int = 0, second: int = 0) -> int:
    return int(datetime(2025, 11, 14, hour, minute, second, tzinfo=UTC).timestamp()) * 1000


def test_a_body_becomes_a_chain() -> None:
    chain = read_chain(a_body(snapshot_id=ID, job_id=ID.upper(), market_symbol=" spx "), NOON)
    assert (chain.snapshot_id, chain.job_id, chain.market_symbol) == (UUID(ID), UUID(ID), "SPX")
    assert chain.timestamp == ms(16, 59, 58)
    assert chain.strikes == [
        ChainStrike(6730.0, 10, 20, 1, 2, 0.5, 0.75, 1.5, 1.75, 0.25, -0.5, -1.25, 2.0),
        ChainStrike(6730.0, 10, 20),
    ]
    assert (chain.total_open_interest, chain.total_volume) == (60, 3)
    assert chain.data_quality_score == round(0.4 * 0.5 + 0.1 + 0.1 * 0.5 + 0.2 + 0.2, 4)


@pytest.mark.parametrize(
    ("snapshot_time", "snapshot_date", "timestamp"),
    [
        ("10:30", "2025-11-14", ms(15, 30)),
        ("10:30:00.250999", "2025-11-14", ms(15, 30) + 250),
        ("10:30:00Z", "2025-11-14", ms(10, 30)),
        ("10:30:00+01:00", "2025-11-14", ms(9, 30)),
        ("00:30:00+09:00", "2025-11-15", ms(15, 30)),
    ],
)
def test_a_time_is_in_new_york_unless_it_has_an_offset(
    snapshot_time: str, snapshot_date: str, timestamp: int
) -> None:
    body = a_body(snapshot_time=snapshot_time, snapshot_date=snapshot_date)
    assert read_chain(body, NOON).timestamp == timestamp


def test_an_id_is_derived_from_the_content() -> None:
    chain = read_chain(a_body(), NOON)
    same = read_chain(a_body(snapshot_time="16:59:58Z"), NOON + timedelta(hours=1))
    assert same.snapshot_id == chain.snapshot_id
    for other in (with_strike(), {"snapshot_time": "11:59:57"}, {"market_symbol": "NDX"}, {"job_id": ID}):
        assert read_chain(a_body(**other), NOON).snapshot_id != chain.snapshot_id


@pytest.mark.parametrize("name", FULL)
def test_every_optional_value_may_be_missing_or_null(name: str) -> None:
    strike = {key: value for key, value in FULL.items() if key != name}
    if name in STRIKE:
        assert refused(strikes=[strike]) == (422, f"strikes[0].{name}", "missing")
        assert refused(strikes=[FULL | {name: None}])[1] == f"strikes[0].{name}"
    else:
        bodies = [a_body(strikes=[strike]), a_body(strikes=[FULL | {name: None}])]
        assert [getattr(read_chain(body, NOON).strikes[0], name) for body in bodies] == [None, None]


def test_totals_may_be_sent_if_they_are_right() -> None:
    assert read_chain(a_body(total_open_interest=60, total_volume=3), NOON).total_volume == 3


COUNTS = ("call_open_interest", "put_open_interest", "call_volume", "put_volume")
PRICES = ("call_bid", "call_ask", "put_bid", "put_ask")
GREEKS = ("gamma", "delta", "theta", "vega")


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        *(({name: value}, name, "type") for name in BODY for value in (None, True, 5.5)),
        ({"market_symbol": "no such"}, "market_symbol", "ticker"),
        ({"market_symbol": ""}, "market_symbol", "ticker"),
        ({"snapshot_date": "14.11.2025"}, "snapshot_date", "date"),
        ({"snapshot_date": "2025-11-15"}, "snapshot_date", "future"),
        ({"snapshot_date": "9999-12-31", "snapshot_time": "23:59:59-23:00"}, "snapshot_date", "future"),
        ({"snapshot_date": "1999-12-31"}, "snapshot_date", "range"),
        ({"snapshot_date": "2000-01-01", "snapshot_time": "04:59:59Z"}, "snapshot_date", "range"),
        ({"snapshot_time": "noon"}, "snapshot_time", "time"),
        ({"snapshot_time": "10:30 America/New_York"}, "snapshot_time", "time"),
        ({"snapshot_id": "1"}, "snapshot_id", "uuid"),
        ({"job_id": "1"}, "job_id", "uuid"),
        ({"strikes": []}, "strikes", "length"),
        ({"strikes": [STRIKE] * (MAX_STRIKES + 1)}, "strikes", "length"),
        ({"strikes": [STRIKE, [6730, 10, 20]]}, "strikes[1]", "type"),
        ({"total_open_interest": 61}, "total_open_interest", "sum"),
        ({"total_volume": 2}, "total_volume", "sum"),
        ({"data_quality_score": 1.0}, "data_quality_score", "computed"),
        ({"processed_at": "2025-11-14T17:00:00Z"}, "processed_at", "computed"),
        ({"symbol": "SPX"}, "symbol", "unknown_field"),
        (with_strike(open_interest=1), "strikes[1].open_interest", "unknown_field"),
        (with_strike(strike_price=0), "strikes[1].strike_price", "range"),
        (with_strike(strike_price=-1), "strikes[1].strike_price", "range"),
        *((with_strike(**{name: -1}), f"strikes[1].{name}", "range") for name in (*COUNTS, *PRICES)),
        *((with_strike(**{name: 10**15}), f"strikes[1].{name}", "range") for name in COUNTS),
        *((with_strike(**{name: 1.5}), f"strikes[1].{name}", "type") for name in COUNTS),
        *((with_strike(**{name: "1"}), f"strikes[1].{name}", "type") for name in (*COUNTS, *PRICES, *GREEKS)),
        *(
            (with_strike(**{name: True}), f"strikes[1].{name}", "type")
            for name in (*COUNTS, *PRICES, *GREEKS)
        ),
    ],
)
def test_a_refusal_names_the_field(changes: dict[str, Any], field: str, rule: str) -> None:
    assert refused(**changes) == (422, field, rule)


@pytest.mark.parametrize("name", [*PRICES, *GREEKS])
@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused_by_its_field(name: str, number: str) -> None:
    body = a_body(**with_strike(**{name: 123.5})).replace(b"123.5", number.encode())
    assert refusal(body) == (422, f"strikes[1].{name}", "number")


@pytest.mark.parametrize("name", BODY)
def test_a_missing_field_is_named(name: str) -> None:
    body = {key: value for key, value in BODY.items() if key != name}
    assert refusal(json.dumps(body).encode()) == (422, name, "missing")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"[]", "object"),
        (b'"SPX"', "object"),
        (b"null", "object"),
        (b"\xff", "json"),
        (b'{"market_symbol": "\xff"}', "json"),
        (a_body(**with_strike(gamma=123.5)).replace(b"123.5", b"NaN"), "json"),
        (a_body() + b"}", "json"),
    ],
)
def test_what_is_no_json_object_is_a_bad_request(body: bytes, rule: str) -> None:
    assert refusal(body) == (400, "body", rule)


def refused(**changes: Any) -> tuple[int, str | None, str]:
    return refusal(a_body(**changes))


def refusal(body: bytes) -> tuple[int, str | None, str]:
    with pytest.raises(Refused) as caught:
        read_chain(body, NOON)
    error = caught.value
    assert str(error).startswith(f"{error.field}: ") or error.field == "body"
    return error.status, error.field, error.rule
