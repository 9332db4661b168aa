"""The grammar of the vendor's file names."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gexbot.partition import ENDPOINTS, PACKAGES, Partition, endpoint_of
from shared.gexbot.source_name import (
    MAX_NAME_LENGTH,
    SourceName,
    parse_source_name,
    read_source_url,
    vendor_name,
)

DAY = date(2025, 11, 14)
tickers = st.from_regex(r"[A-Z0-9^][A-Z0-9_^-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "ticker", "package", "category", "endpoint"),
    [
        ("2025-11-14_NQ_NDX_classic_gex_zero.json", "NQ_NDX", "classic", "gex_zero", "gex_zero"),
        ("2025-11-14_SPX_classic_gex_full.json.gz", "SPX", "classic", "gex_full", "gex_full"),
        ("2025-11-14_SPX_classic_gex_one.jsonl", "SPX", "classic", "gex_one", "gex_one"),
        ("2025-11-14_SPX_classic_gex_one.jsonl.gz", "SPX", "classic", "gex_one", "gex_one"),
        ("2025-11-14_ES_SPX_classic.json", "ES_SPX", "classic", None, None),
        ("2025-11-14_SPX_classic_gex_two.json", "SPX", "classic", "gex_two", None),
        ("2025-11-14_SPX_classic_delta_zero.json", "SPX", "classic", "delta_zero", None),
        ("2025-11-14_spx_state_gex_zero.json", "SPX", "state", "gex_zero", "state_gex_zero"),
        ("2025-11-14_ES_SPX_state_vanna_one.json", "ES_SPX", "state", "vanna_one", "state_vanna_one"),
        ("2025-11-14_SPX_state.json", "SPX", "state", None, None),
        ("2025-11-14_SPX_orderflow_orderflow.json", "SPX", "orderflow", "orderflow", "orderflow"),
        ("2025-11-14_SPX_orderflow.json.gz", "SPX", "orderflow", "orderflow", "orderflow"),
        ("2025-11-14_NQ_NDX.json", "NQ_NDX", None, None, None),
        ("2025-11-14_BRK.B_classic_gex_zero.json", "BRK.B", "classic", "gex_zero", "gex_zero"),
    ],
)
def test_a_vendor_name_is_taken_apart(
    name: str, ticker: str, package: str | None, category: str | None, endpoint: str | None
) -> None:
    assert parse_source_name(name) == SourceName(name, DAY, ticker, package, category, endpoint)


@given(
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    tickers.filter(lambda ticker: ticker.strip("_") == ticker),
    st.sampled_from([(package, each) for package, categories in PACKAGES.items() for each in categories]),
    st.sampled_from([".json", ".jsonl", ".json.gz", ".jsonl.gz"]),
)
def test_every_full_vendor_name_tells_all_its_parts(
    day: date, ticker: str, offered: tuple[str, str], ending: str
) -> None:
    package, category = offered
    told = parse_source_name(f"{day}_{ticker}_{package}_{category}{ending}")
    assert (told.trading_day, told.ticker, told.package, told.category) == (day, ticker, package, category)
    assert told.endpoint == endpoint_of(package, category)


@pytest.mark.parametrize("name", ["export.json", "a-b_c.jsonl.gz", "2025-11-14.json", "14-11-2025_SPX.json"])
def test_a_name_outside_the_grammar_tells_nothing(name: str) -> None:
    assert parse_source_name(name) == SourceName(name)


@pytest.mark.parametrize(
    ("path", "name", "ticker", "endpoint", "day"),
    [
        ("hist/NDX/classic/gex_zero", "NDX_classic_gex_zero.json", "NDX", "gex_zero", None),
        ("chart/ndx/classic/full/", "NDX_classic_gex_full.json", "NDX", "gex_full", None),
        ("hist/ES_SPX/state/onegamma", "ES_SPX_state_gamma_one.json", "ES_SPX", "state_gamma_one", None),
        (f"hist/SPX/classic/gex_one/{DAY}", f"{DAY}_SPX_classic_gex_one.json", "SPX", "gex_one", DAY),
        (f"hist/SPX/classic/gex_one?date={DAY}", f"{DAY}_SPX_classic_gex_one.json", "SPX", "gex_one", DAY),
        (f"hist/a/{DAY}_SPX_classic_gex_one.json", f"{DAY}_SPX_classic_gex_one.json", "SPX", "gex_one", DAY),
    ],
)
def test_a_path_of_the_web_application_stands_for_a_name(
    path: str, name: str, ticker: str, endpoint: str, day: date | None
) -> None:
    told = read_source_url(urlsplit(f"https://app.gexbot.com/{path}"))
    assert (told.name, told.ticker, told.endpoint, told.trading_day) == (name, ticker, endpoint, day)


@pytest.mark.parametrize(
    "path",
    [
        "v2/hist/NDX/classic/gex_zero",
        "hist/NDX/classic",
        "hist/NDX/other/gex_zero",
        "hist/NDX/classic/gex_zero/2025-02-29",
        "hist/NDX/classic/gex_zero?date=today",
        f"hist/{'A' * 33}/classic/gex_zero",
        "hist/a%2fb/classic/gex_zero",
        "hist/%5e..%5e/classic/gex_zero",
    ],
)
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"file name|calendar|at most 32|is not a ticker"):
        read_source_url(urlsplit(f"https://app.gexbot.com/{path}"))


@pytest.mark.parametrize(
    "day", ["2025-02-29", "2025-13-01", "2025-00-10", "2025-11-31", "0000-01-01", "9999-12-31"]
)
def test_a_day_that_does_not_exist_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match=f"{day}, which is not a day of the calendar"):
        parse_source_name(f"{day}_SPX_classic_gex_zero.json")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "file",
        "file.csv",
        "file.json.bz2",
        "file.json.gz.gz",
        ".json",
        ".hidden.json",
        "..json",
        "a/b.json",
        "a\\b.json",
        "a b.json",
        "a%2fb.json",
        "a\0.json",
        "a.json\n",
        "é.json",
        "a" * MAX_NAME_LENGTH + ".json",
    ],
)
def test_a_name_unfit_for_a_staged_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the URL must end in a plain file name"):
        parse_source_name(name)


def test_a_ticker_too_long_in_the_name_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 32"):
        parse_source_name(f"2025-11-14_{'A' * 33}_classic_gex_zero.json")


@given(
    tickers.filter(lambda ticker: ticker.strip("_") == ticker),
    st.sampled_from(ENDPOINTS),
    st.sampled_from([".json", ".json.gz"]),
)
def test_a_name_that_is_built_for_a_partition_tells_it(ticker: str, endpoint: str, ending: str) -> None:
    told = parse_source_name(vendor_name(Partition(ticker, endpoint, DAY), ending))
    assert (told.ticker, told.endpoint, told.trading_day) == (ticker, endpoint, DAY)
