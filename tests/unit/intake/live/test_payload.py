"""Bodies of ``POST /gex``: what is read from each, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given

from services.intake.errors import BadRequest, Refused, Unprocessable
from services.intake.live.payload import read_snapshot
from services.intake.live.record import (
    MAX_PRIORS,
    MAX_STRIKES,
    convert_record,
    decode_record,
)
from shared.bus.feeds.live_messages import Snapshot, SnapshotPart, Strike
from tests.support.live_payloads import NOW, Payload, payloads, vendor_records

RECORD: dict[str, Any] = {
    "timestamp": 1_763_132_400,
    "ticker": "SPX",
    "spot": 6734.5,
    "zero_gamma": 6712.5,
    "strikes": [[6730, -228.25, -86.5, [-240.5, 0, None]], [6735, 44]],
}


def read(body: Any) -> Snapshot:
    return read_snapshot(json.dumps(body).encode(), NOW)


def refusal(body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        read(body)
    assert caught.value.field is not None
    assert str(caught.value).startswith((f"{caught.value.field}: ", "the body"))
    return caught.value


@given(payloads())
def test_every_field_of_every_generation_is_read(payload: Payload) -> None:
    snapshot = read_snapshot(payload.body, NOW)
    assert snapshot == payload.expected
    # Integers stay integers: the text of these two is stored.
    assert msgspec.json.encode(snapshot.max_priors) == msgspec.json.encode(payload.expected.max_priors)
    assert repr(snapshot.strikes) == repr(payload.expected.strikes)


@given(vendor_records())
def test_both_ways_of_reading_a_record_agree(payload: Payload) -> None:
    decoded = decode_record(payload.body)
    assert decoded is not None
    assert repr(decoded) == repr(convert_record(payload.sent))


def test_changes_come_in_the_order_of_max_priors_with_gaps() -> None:
    data = {"thirty": [6, 60.5], "current": [1, 10]}
    body = {"ticker": "SPX", "kind": "max_change", "received_at": 1_763_132_400, "data": data}
    snapshot = read(body)
    assert snapshot.part is SnapshotPart.MAXCHANGE
    assert snapshot.max_priors == [[1, 10], None, None, None, None, [6, 60.5]]


def test_net_gex_of_majors_is_the_sum_of_the_record() -> None:
    data = {"net_gex_vol": 1.5, "net_gex_oi": 2, "timestamp": 1_763_132_400, "zero_gamma": 3}
    snapshot = read({"ticker": "SPX", "kind": "majors", "data": data})
    assert (snapshot.net_gex, snapshot.sum_gex_vol, snapshot.sum_gex_oi) == (1.5, 1.5, 2.0)
    assert (snapshot.spot_price, snapshot.zero_gamma) == (None, 3.0)


def test_the_outer_object_says_who_it_is_about() -> None:
    outer = {"ticker": "NQ_NDX", "endpoint": "gex_full"}
    snapshot = read({**outer, "data": {**RECORD, "endpoint": "gex_zero"}})
    assert (snapshot.ticker, snapshot.endpoint) == ("NQ_NDX", "gex_full")


@pytest.mark.parametrize(
    ("strike", "expected"),
    [
        pytest.param(
            [6730, 1, [2, 3.5]], Strike(6730.0, 1.0, None, [2, 3.5]), id="priors in the third place"
        ),
        pytest.param([6730, None, 2], Strike(6730.0, None, 2.0), id="null"),
        pytest.param([6730, "", "2"], Strike(6730.0, None, 2.0), id="strings"),
        pytest.param([1, 2, 3, [], 5], Strike(1.0, 2.0, 3.0, []), id="a fifth element"),
        pytest.param({"strike": 1, "priors": ["2", 3.0]}, Strike(1.0, None, None, [2, 3.0]), id="an object"),
    ],
)
def test_strikes_of_other_forms_are_read(strike: Any, expected: Strike) -> None:
    assert repr(read({**RECORD, "strikes": [strike]}).strikes) == repr([expected])


@pytest.mark.parametrize(
    ("time", "expected_ms"),
    [
        (1_763_132_400, 1_763_132_400_000),
        (1_763_132_400.25, 1_763_132_400_250),
        ("1763132400.25", 1_763_132_400_250),
        (1_763_132_400_250, 1_763_132_400_250),
        (1_763_132_400_250_999, 1_763_132_400_250),
        (1_763_132_400_250_999_999, 1_763_132_400_250),
        ("2025-11-14T15:00:00.250Z", 1_763_132_400_250),
        ("2025-11-14T15:00:00.250", 1_763_132_400_250),
        ("2025-11-14T10:00:00.250-05:00", 1_763_132_400_250),
        (946_684_800, 946_684_800_000),
        (int((NOW + timedelta(days=1)).timestamp()), int((NOW + timedelta(days=1)).timestamp()) * 1000),
    ],
)
def test_times_are_told_apart_by_their_magnitude(time: Any, expected_ms: int) -> None:
    assert read({**RECORD, "timestamp": time}).timestamp == expected_ms


@pytest.mark.parametrize("name", ["ticker", "timestamp", "spot", "zero_gamma"])
@pytest.mark.parametrize("absent", [{}, None, ""])
def test_a_required_field_is_named(name: str, absent: Any) -> None:
    body = {field: value for field, value in RECORD.items() if field != name}
    error = refusal(body if absent == {} else {**body, name: absent})
    assert (error.status, error.field, error.rule) == (422, name, "missing")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"timestamp": 946_684_799}, "timestamp"),
        ({"timestamp": int((NOW + timedelta(days=1, seconds=1)).timestamp())}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": [1]}, "timestamp"),
        ({"timestamp": None, "received_at": "never"}, "received_at"),
        ({"ticker": "../etc"}, "ticker"),
        ({"ticker": 5}, "ticker"),
        ({"ticker": "A" * 33}, "ticker"),
        ({"endpoint": "state_gex_zero"}, "endpoint"),
        ({"endpoint": "gamma_zero"}, "endpoint"),
        ({"endpoint": ["gex_zero"]}, "endpoint"),
        ({"kind": "trade"}, "kind"),
        ({"data": [1]}, "data"),
        ({"spot": True}, "spot"),
        ({"spot": "NaN"}, "spot"),
        ({"spot": "1e999"}, "spot"),
        ({"spot": "1_000"}, "spot"),
        ({"spot": 10**400}, "spot"),
        ({"spot": {}}, "spot"),
        ({"spot": float("nan")}, "spot"),
        ({"zero_gamma": float("-inf")}, "zero_gamma"),
        ({"min_dte": 2**31}, "min_dte"),
        ({"min_dte": 1.5}, "min_dte"),
        ({"sec_min_dte": "1e300"}, "sec_min_dte"),
        ({"max_priors": {"1h": 1}}, "max_priors"),
        ({"max_priors": [[1, False]]}, "max_priors.0.1"),
        ({"max_priors": [[1] * 5]}, "max_priors.0"),
        ({"max_priors": [1] * (MAX_PRIORS + 1)}, "max_priors"),
        ({"kind": "maxchange", "current": ["x"]}, "current.0"),
        ({"strikes": "none"}, "strikes"),
        ({"strikes": [[1, 2]] * (MAX_STRIKES + 1)}, "strikes"),
        ({"strikes": [[1, 2], [3]]}, "strikes.1"),
        ({"strikes": [5]}, "strikes.0"),
        ({"strikes": [[None, 2]]}, "strikes.0.strike"),
        ({"strikes": [{"gamma": 2}]}, "strikes.0.strike"),
        ({"strikes": [[1, 2, 3, {"p1": 4}]]}, "strikes.0.priors"),
        ({"strikes": [[1, 2, 3, [1] * (MAX_PRIORS + 1)]]}, "strikes.0.priors"),
        ({"strikes": [[1, 2, 3, [4, True]]]}, "strikes.0.priors.1"),
    ],
)
def test_an_unusable_field_is_named(fields: dict[str, Any], named: str) -> None:
    error = refusal({**RECORD, **fields})
    assert isinstance(error, Unprocessable)
    assert error.field == named


def test_a_number_beyond_every_float_is_refused_by_name() -> None:
    body = json.dumps({**RECORD, "spot": 0}).replace('"spot": 0', '"spot": 1e999').encode()
    with pytest.raises(Unprocessable) as caught:
        read_snapshot(body, datetime.now(UTC))
    assert caught.value.field == "spot"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"5", b'"text"', b"\xff", b'{"ticker": "\\ud800"}', b"[" * 100_000, b"null"]
)
def test_what_is_no_json_object_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_snapshot(body, NOW)
