"""Tickers, endpoints, partitions."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.partition import ENDPOINTS, Partition, normalize_endpoint, normalize_ticker


@pytest.mark.parametrize(
    ("text", "ticker"),
    [("nq_ndx", "NQ_NDX"), ("  SPX\n", "SPX"), ("brk.b", "BRK.B"), ("^vix", "^VIX"), ("0DTE-X", "0DTE-X")],
)
def test_a_ticker_is_upper_case_and_without_blanks(text: str, ticker: str) -> None:
    assert normalize_ticker(text) == ticker


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "../etc",
        "A..B",
        "A/B",
        "A\\B",
        "A'B",
        'A"B',
        "A;B",
        "A B",
        "A\0B",
        ".A",
        "-A",
        "_A",
        "NDX*",
        "日",
    ],
)
def test_a_text_that_no_ticker_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a ticker"):
        normalize_ticker(text)


def test_a_ticker_has_at_most_32_characters() -> None:
    assert normalize_ticker("A" * 32) == "A" * 32
    with pytest.raises(ValueError, match="the ticker has 300 characters; at most 32 are allowed"):
        normalize_ticker("A" * 300)


@given(st.text(max_size=40))
def test_normalizing_twice_changes_nothing(text: str) -> None:
    try:
        ticker = normalize_ticker(text)
    except ValueError:
        return
    assert normalize_ticker(ticker) == ticker
    assert ticker.isascii()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_may_be_in_capitals(endpoint: str) -> None:
    assert normalize_endpoint(f" {endpoint.upper()} ") == endpoint


@pytest.mark.parametrize("text", ["", "gex", "gex_two", "gex_zero/..", "zero"])
def test_an_unknown_endpoint_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ValueError, match="use one of gex_zero, gex_one, gex_full"):
        normalize_endpoint(text)


def test_a_partition_is_written_as_people_say_it() -> None:
    assert str(Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))) == "NQ_NDX gex_zero 2025-11-14"
