"""A stored snapshot as the vendor's record."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from gexlake.cli.replay_day.records import vendor_record
from services.intake.live.payload import read_snapshot

SNAPSHOT = {
    "timestamp": 1763130600000,
    "spot_price": 25000.5,
    "zero_gamma": 24950.0,
    "net_gex": None,
    "min_dte": 0,
    "sec_min_dte": 3,
    "major_pos_vol": 25100.0,
    "max_priors": [[25000, 1.5], [25010, -2]],
    "put_wall_candidate2_pct": 0.25,
    "source": "history",
    "strikes": [[25000.0, -228.01, -86.9, [-240.55, 0]], [25010.0, 5.0, None], [25020.0, None, 1.0]],
}


def test_the_record_has_the_vendors_names_and_nothing_that_is_null() -> None:
    assert json.loads(vendor_record("NQ_NDX", "gex_one", SNAPSHOT)) == {
        "timestamp": 1763130600,
        "ticker": "NQ_NDX",
        "endpoint": "gex_one",
        "spot": 25000.5,
        "zero_gamma": 24950.0,
        "min_dte": 0,
        "sec_min_dte": 3,
        "major_pos_vol": 25100.0,
        "max_priors": [[25000, 1.5], [25010, -2]],
        "put_wall_candidate2_pct": 0.25,
        "strikes": SNAPSHOT["strikes"],
    }


def test_a_time_between_two_seconds_is_in_milliseconds() -> None:
    record = json.loads(vendor_record("NQ_NDX", "gex_zero", {**SNAPSHOT, "timestamp": 1763130600250}))
    assert record["timestamp"] == 1763130600250


def test_intake_reads_every_value_of_it() -> None:
    body = vendor_record("NQ_NDX", "gex_one", {**SNAPSHOT, "net_gex": 7.5})
    read = read_snapshot(body, datetime(2025, 11, 15, tzinfo=UTC))
    strikes = [(each.strike, each.gamma, each.oi_gamma, each.priors) for each in read.strikes or ()]
    assert strikes == [
        (25000.0, -228.01, -86.9, [-240.55, 0]),
        (25010.0, 5.0, None, None),
        (25020.0, None, 1.0, None),
    ]
    for name, value in SNAPSHOT.items():
        if name not in {"strikes", "source", "net_gex"}:
            assert getattr(read, name) == value
    assert (read.ticker, read.endpoint, read.net_gex) == ("NQ_NDX", "gex_one", 7.5)
