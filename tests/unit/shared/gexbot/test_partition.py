"""Tickers, endpoints, partitions."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gexbot.partition import (
    ENDPOINTS,
    PACKAGES,
    Partition,
    endpoint_of,
    in_package,
    normalize_endpoint,
    normalize_ticker,
    package_and_category,
)


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


@pytest.mark.parametrize(
    ("package", "category", "endpoint"),
    [
        ("classic", "gex_zero", "gex_zero"),
        ("classic", "delta_zero", None),
        ("state", "gex_zero", "state_gex_zero"),
        ("state", "charm_one", "state_charm_one"),
        ("state", "volume_zero", None),
        ("state", "state_gex_zero", None),
        ("orderflow", "orderflow", "orderflow"),
        ("orderflow", "gex_zero", None),
        ("research", "gex_zero", None),
    ],
)
def test_package_and_category_have_one_endpoint(package: str, category: str, endpoint: str | None) -> None:
    assert endpoint_of(package, category) == endpoint


def test_an_endpoint_alone_tells_its_package() -> None:
    assert len(set(ENDPOINTS)) == len(ENDPOINTS) == sum(map(len, PACKAGES.values())) == 15


@pytest.mark.parametrize(
    ("endpoint", "package", "expected"),
    [
        ("gex_zero", "state", "state_gex_zero"),
        ("gex_zero", "classic", "gex_zero"),
        ("state_gex_one", "classic", "gex_one"),
        ("state_delta_zero", "state", "state_delta_zero"),
        ("state_delta_zero", "classic", None),
        ("orderflow", "state", None),
        ("gex_zero", "orderflow", None),
    ],
)
def test_a_category_is_looked_up_in_another_package(
    endpoint: str, package: str, expected: str | None
) -> None:
    assert in_package(endpoint, package) == expected


@pytest.mark.parametrize("text", ["", "gex", "gex_two", "gex_zero/..", "zero", "delta_zero", "state"])
def test_an_unknown_endpoint_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ValueError, match="use one of gex_zero, gex_one, gex_full"):
        normalize_endpoint(text)


def test_a_partition_is_written_as_people_say_it() -> None:
    assert str(Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))) == "NQ_NDX gex_zero 2025-11-14"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_tells_package_and_category(endpoint: str) -> None:
    assert endpoint_of(*package_and_category(endpoint)) == endpoint
