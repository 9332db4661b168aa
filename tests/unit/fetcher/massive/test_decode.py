"""What is read from the vendor's JSON."""

from __future__ import annotations

import json

import pytest

from services.fetcher.massive.decode import bar_page, error_text, snapshot, snapshots
from shared.massive.bars import Bar
from shared.massive.snapshots import DayBar, LastQuote, LastTrade, MarketSnapshot, fault_of_snapshot
from tests.support.massive import published

BAR = {"o": 1.5, "h": 2.0, "l": 1.0, "c": 1.25, "v": 10, "t": 1_577_941_200_000}


def page(*bars: object, **fields: object) -> bytes:
    return json.dumps({"status": "OK", "results": bars, **fields}).encode()


def test_the_published_aggregates_are_read_value_for_value() -> None:
    found = bar_page(published.AGGREGATES.encode())
    assert found.bars == [
        Bar(1577941200000, 74.06, 75.15, 73.7975, 75.0875, 135647456, 74.6099, 1),
        Bar(1578027600000, 74.2875, 75.145, 74.125, 74.3575, 146535512, 74.7026, 1),
    ]
    assert str(found.next_url).endswith("/1578114000000/2020-01-10?cursor=bGltaXQ9MiZzb3J0PWFzYw")
    assert (found.rejected, found.is_delayed, found.unknown_fields) == ([], False, frozenset())


def test_the_aggregates_of_the_vendors_client_are_read_value_for_value() -> None:
    assert bar_page(published.AGGREGATES_OF_CLIENT.encode()).bars == [
        Bar(1112331600000, 1.5032, 1.5064, 1.4489, 1.4604, 642646396, 1.469, 82132),
        Bar(1112587200000, 1.4639, 1.4754, 1.4343, 1.4675, 578172308, 1.4589, 65543),
    ]


def test_no_results_are_no_bars_and_delayed_data_are_marked() -> None:
    assert bar_page(b'{"status": "DELAYED", "resultsCount": 0}').bars == []
    assert bar_page(b'{"status": "OK", "results": null}').bars == []
    assert bar_page(b'{"status": "DELAYED"}').is_delayed


def test_a_volume_may_have_a_fraction_and_unknown_fields_are_named() -> None:
    found = bar_page(page({**BAR, "v": 10.25, "dv": "10.25", "otc": True, "auction": 3}))
    assert found.bars[0].volume == 10.25
    assert (found.bars[0].vwap, found.bars[0].trades) == (None, None)
    assert found.unknown_fields == {"auction"}


def test_a_bar_that_is_not_correct_is_rejected_and_the_others_stay() -> None:
    found = bar_page(page({**BAR, "o": None}, BAR, {**BAR, "l": 3.0}, {**BAR, "t": 1_577_941_200_001}))
    assert [bar.open for bar in found.bars] == [1.5]
    assert [rejected.timestamp for rejected in found.rejected] == [BAR["t"]] * 2 + [1_577_941_200_001]
    reasons = [rejected.reason for rejected in found.rejected]
    assert reasons[0].startswith("Expected `float`, got `null` - at `$.o`")
    assert reasons[1:] == [
        "open: 1.5 is not between the low 3.0 and the high 2.0",
        "timestamp: 1577941200001 is not the start of a minute",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"<html>", b"{}", b'{"status": "OK", "results": {}}', b'{"status": 1}']
)
def test_what_is_no_page_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        bar_page(content)


def test_an_error_with_status_200_is_refused_in_the_vendors_words() -> None:
    with pytest.raises(ValueError, match="status is 'ERROR': no such timespan"):
        bar_page(b'{"status": "ERROR", "error": "no such timespan"}')


def test_the_published_snapshots_are_read_value_for_value() -> None:
    (apple,), rejected, unknown = snapshot(published.SNAPSHOT.encode())
    assert (rejected, unknown) == ({}, frozenset())
    assert apple == MarketSnapshot(
        symbol="AAPL",
        updated_at_ns=1605195918306274000,
        minute=Bar(1684428720000, 120.435, 120.468, 120.37, 120.4201, 270796, 120.4129, 762),
        day=DayBar(119.62, 120.53, 118.81, 120.4229, 28727868, 119.725),
        previous_day=DayBar(117.19, 119.63, 116.44, 119.49, 110597265, 118.4998),
        change=0.98,
        change_percent=0.82,
        trade=LastTrade(120.47, 236, 1605195918306274000),
        quote=LastQuote(120.46, 8, 120.47, 4, 1605195918507251700),
    )
    (found,), rejected, unknown = snapshots(published.SNAPSHOTS.encode())
    assert (rejected, unknown) == ({}, frozenset())
    assert (found.symbol, found.change, found.day) == (
        "BCAT",
        -0.124,
        DayBar(20.64, 20.64, 20.506, 20.506, 37216, 20.616),
    )
    assert [fault_of_snapshot(each) for each in (found, apple)] == [None, None]


def test_zeros_before_the_first_trade_are_no_values() -> None:
    zeros = dict.fromkeys("ohlcv", 0)
    ticker = {"ticker": "A", "updated": 0, "day": zeros, "prevDay": zeros, "min": {**zeros, "t": 0, "n": 0}}
    page = snapshot(json.dumps({"status": "OK", "ticker": ticker}).encode())
    assert page.snapshots == [MarketSnapshot("A")]


def test_of_several_snapshots_one_that_cannot_be_read_is_rejected_and_unknown_fields_are_named() -> None:
    good = {"ticker": "A", "fmv": 1, "mood": 1, "min": {"av": 1, "c": 1, "spin": 2}}
    bad = {"ticker": "B", "day": {"o": "high"}}
    page = snapshots(json.dumps({"tickers": [good, bad]}).encode())
    assert [found.symbol for found in page.snapshots] == ["A"]
    assert page.rejected == {"B": "Expected `float`, got `str` - at `$.day.o`"}
    assert page.unknown_fields == {"mood", "min.spin"}


def test_a_snapshot_without_a_ticker_is_refused() -> None:
    with pytest.raises(ValueError, match="ticker"):
        snapshot(b'{"status": "OK"}')


def test_a_fault_of_a_snapshot_names_the_part() -> None:
    day = DayBar(5, 4, 3, 3.5, 1)
    assert (
        fault_of_snapshot(MarketSnapshot("A", day=day))
        == "day: 5, 4, 3, 3.5 are no open, high, low and close"
    )
    minute = Bar(60_000, 1, 1, 1, 1, 1)
    assert str(fault_of_snapshot(MarketSnapshot("A", minute=minute))).startswith("minute.timestamp: 60000")


def test_the_words_of_an_error_are_found_wherever_the_vendor_puts_them() -> None:
    assert error_text(b'{"status": "ERROR", "error": "Unknown API Key"}') == "Unknown API Key"
    assert error_text(b'{"status": "NOT_AUTHORIZED", "message": "no"}') == "no"
    assert [error_text(each) for each in (b"", b"[]", b"<html>")] == ["", "", ""]
