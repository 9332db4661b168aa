"""The URLs of the vendor's data, which name what a job fetches."""

from __future__ import annotations

from datetime import date

import pytest

from shared.massive.resources import FlatFile, MassiveUrls, MinuteBars, Resource, Snapshots, minute_bars_of

URLS = MassiveUrls("https://api.test", "https://files.test")
NOVEMBER = (date(2025, 11, 1), date(2025, 11, 30))
RESOURCES: dict[str, Resource] = {
    "https://api.test/v2/aggs/ticker/BRK.B/range/1/minute/2025-11-01/2025-11-30?adjusted=false": MinuteBars(
        "BRK.B", *NOVEMBER
    ),
    "https://api.test/v2/aggs/ticker/A%2FB/range/1/minute/2025-11-01/2025-11-30?adjusted=true": MinuteBars(
        "A/B", *NOVEMBER, adjusted=True
    ),
    "https://api.test/v2/snapshot/locale/us/markets/stocks/tickers/AAPL": Snapshots(("AAPL",)),
    "https://api.test/v2/snapshot/locale/us/markets/stocks/tickers?tickers=AAPL%2CMTBpC": Snapshots(
        ("AAPL", "MTBpC")
    ),
    "https://files.test/flatfiles/us_stocks_sip/minute_aggs_v1/2025/11/2025-11-14.csv.gz": FlatFile(
        date(2025, 11, 14)
    ),
}


@pytest.mark.parametrize(("url", "resource"), RESOURCES.items())
def test_a_url_names_its_resource_and_no_other_does(url: str, resource: Resource) -> None:
    assert URLS.url_of(resource) == url
    assert URLS.resource_of(url) == resource
    assert URLS.resource_of(url + "&apiKey=x") is None
    assert MassiveUrls().resource_of(url) is None
    expected = resource if isinstance(resource, MinuteBars) else None
    assert minute_bars_of(URLS.base_url_of(resource)) == expected


def test_bars_as_traded_and_adjusted_bars_are_two_jobs() -> None:
    two = {URLS.base_url_of(MinuteBars("AAPL", *NOVEMBER, adjusted=adjusted)) for adjusted in (False, True)}
    assert len(two) == 2


def test_jobs_of_resources_have_a_ticker_and_an_endpoint() -> None:
    named = [(resource.ticker, resource.endpoint) for resource in RESOURCES.values()]
    assert named == [
        ("BRK.B", "ohlcv_1m"),
        ("A/B", "ohlcv_1m"),
        ("AAPL", "snapshots"),
        ("symbols", "snapshots"),
        ("us_stocks_sip", "ohlcv_1m"),
    ]
