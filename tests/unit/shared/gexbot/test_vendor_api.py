"""The URL at which the vendor's API is asked for a day: built and recognised, and nothing like it is."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gexbot.partition import ENDPOINTS, Partition, normalize_ticker
from shared.gexbot.vendor_api import DEFAULT_BASE, VendorApi, base_of

API = VendorApi(DEFAULT_BASE)
DAY = Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))
URL = "https://api.gex.bot/v2/hist/NQ_NDX/classic/gex_zero/2025-11-14?noredirect"

partitions = st.builds(
    Partition,
    st.from_regex(r"[A-Z0-9^][A-Z0-9_.^-]{0,20}", fullmatch=True).filter(lambda text: ".." not in text),
    st.sampled_from(ENDPOINTS),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
)


def test_a_day_has_one_url_without_a_secret() -> None:
    assert API.url_of(DAY) == URL
    assert API.base_url_of(DAY) == URL.removesuffix("?noredirect")


@pytest.mark.parametrize(
    ("partition", "path"),
    [
        (Partition("^VIX", "state_gex_one", DAY.trading_day), "%5EVIX/state/gex_one/2025-11-14"),
        (Partition("SPX", "orderflow", DAY.trading_day), "SPX/orderflow/orderflow/2025-11-14"),
    ],
)
def test_tickers_and_packages_are_spelled_as_the_vendor_does(partition: Partition, path: str) -> None:
    assert API.base_url_of(partition) == f"{DEFAULT_BASE}/hist/{path}"


def test_a_day_of_an_api_is_seen_at_any_address() -> None:
    for base in (DEFAULT_BASE, "http://127.0.0.1:8999/v3"):
        assert base_of(f"{base}/hist/NQ_NDX/classic/gex_zero/2025-11-14") == base
    for url in ("https://hist.gex.bot/2025-11-14_SPX.json", "https://h/hist/2025-11-14", URL, "/hist/"):
        assert base_of(url) is None


@given(partitions)
def test_every_url_that_is_built_is_recognised(partition: Partition) -> None:
    assert normalize_ticker(partition.ticker) == partition.ticker
    assert API.partition_of(API.url_of(partition)) == partition
    assert API.partition_of(API.base_url_of(partition)) == partition


@pytest.mark.parametrize(
    "url",
    [
        "",
        "NQ_NDX/classic/gex_zero/2025-11-14",
        URL.replace("api.gex.bot", "api.gex.bot.evil.example"),
        URL.replace("api.gex.bot", "api.gex.bot@evil.example"),
        URL.replace("api.gex.bot", "api.gex.bot:444"),
        URL.replace("api.gex.bot", "API.gex.bot"),
        URL.replace("https:", "http:"),
        URL.replace("/v2/", "/v2/../"),
        URL.replace("/v2/", "/v3/"),
        URL.replace("/hist/", "/hist//"),
        URL.replace("NQ_NDX", "nq_ndx"),
        URL.replace("NQ_NDX", "NQ%5FNDX"),
        URL.replace("NQ_NDX", "..%2fNDX"),
        URL.replace("NQ_NDX", "%00"),
        URL.replace("classic", "state2"),
        URL.replace("gex_zero", "gex_two"),
        URL.replace("2025-11-14", "2025-11-31"),
        URL.replace("2025-11-14", "20251114"),
        URL.replace("2025-11-14", "2025-11-14/.."),
        f"{URL}&to=evil",
        f"{URL}#there",
        f"{URL}?noredirect",
        f" {URL}",
    ],
)
def test_a_url_that_only_looks_like_one_is_not_recognised(url: str) -> None:
    assert API.partition_of(url) is None


def test_another_address_is_another_api() -> None:
    local = VendorApi("http://127.0.0.1:9/v2")
    assert local.url_of(DAY) == "http://127.0.0.1:9/v2/hist/NQ_NDX/classic/gex_zero/2025-11-14?noredirect"
    assert local.partition_of(URL) is None
    assert API.partition_of(local.url_of(DAY)) is None
