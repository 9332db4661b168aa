"""The registry of datasets, and what a third one gets by being listed in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import datasets
from shared.dataset import Dataset
from shared.gexbot.partition import ENDPOINTS
from shared.paths import LakePaths
from tests.support.values import a_job

PATHS = LakePaths.under(Path("/lake"))
WEATHER = Dataset(
    name="weather",
    endpoints=("temperature",),
    check_ticker=str.upper,
    tables={"readings": "temperatures"},
    file_names=lambda job: [f"{job.trading_day}.csv"],
)


@pytest.mark.parametrize(
    ("endpoint", "dataset"),
    [*((endpoint, "gexbot") for endpoint in ENDPOINTS), ("ohlcv_1m", "massive"), ("snapshots", "massive")],
)
def test_each_endpoint_is_of_one_dataset(endpoint: str, dataset: str) -> None:
    assert datasets.dataset_of(endpoint).name == dataset
    assert [each.name for each in datasets.DATASETS if endpoint in each.endpoints] == [dataset]
    assert datasets.check_endpoint(f" {endpoint.upper()} ") == endpoint


def test_another_endpoint_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"'gex_two' is not an endpoint: use one of gex_zero, .*, snapshots$"
    ):
        datasets.check_endpoint("gex_two")


@pytest.mark.parametrize(
    ("text", "ticker", "endpoint", "is_it"),
    [
        ("spx", "SPX", "gex_zero", True),
        ("MTBpC", "MTBpC", "ohlcv_1m", True),
        ("MTBPC", "MTBpC", "ohlcv_1m", False),
        ("BRK.B", "BRK.B", "snapshots", True),
        ("us_stocks_sip", "us_stocks_sip", "ohlcv_1m", True),
        ("symbols-12", "symbols-12", "snapshots", True),
        ("NQ_NDX", "NQ_NDX", "ohlcv_1m", False),
        ("X", "X", "of_a_later_version", True),
    ],
)
def test_each_dataset_has_its_rule_for_tickers(text: str, ticker: str, endpoint: str, is_it: bool) -> None:
    assert datasets.is_ticker(text, ticker, endpoint) == is_it


def test_a_ticker_of_any_dataset_may_be_asked_for() -> None:
    assert datasets.check_ticker(" MTBpC ") == "MTBpC"
    assert datasets.check_ticker("spx") == "SPX"
    with pytest.raises(ValueError, match="is not a ticker"):
        datasets.check_ticker("a b")


def test_the_records_of_a_job_are_what_its_dataset_counts_first() -> None:
    assert datasets.records_in({"strike_rows": 30, "snapshots": 3}, "gex_zero") == 3
    assert datasets.records_in({"symbols": 2, "bars": 780}, "ohlcv_1m") == 780
    assert datasets.records_in({"snapshots": 2}, "snapshots") == 2
    assert datasets.records_in({"readings": 2}, "of_a_later_version") is None


def test_a_third_dataset_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DATASETS", (*datasets.DATASETS, WEATHER))
    assert datasets.check_endpoint("Temperature") == "temperature"
    staged = PATHS.staged("oslo", "temperature", "2025-11-14.csv")
    assert staged == Path("/lake/source/weather/OSLO/temperature/2025-11-14.csv")
    assert PATHS.staged_from_relative(PATHS.relative_to_staging(staged)) == staged
    assert staged.parents[2] in PATHS.staging_folders
    job = a_job(ticker="OSLO", endpoint="temperature")
    assert staged.name in datasets.dataset_of(job.endpoint).file_names(job)
    assert datasets.records_in({"readings": 24}, "temperature") == 24
