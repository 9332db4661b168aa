"""The registry of datasets: a new one is a package with its words, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from shared.dataset import Dataset
from shared.gexbot.dataset import GEXBOT
from shared.massive.dataset import MASSIVE

DATASETS: Final = (GEXBOT, MASSIVE)


def dataset_of(endpoint: str) -> Dataset:
    """Return the dataset of an endpoint.

    Raises:
        ValueError: no dataset has it.
    """
    found = find_dataset(endpoint)
    if found is None:
        raise ValueError(f"{endpoint!r} is not an endpoint: use one of {', '.join(endpoints())}")
    return found


def find_dataset(endpoint: str) -> Dataset | None:
    """Return the dataset of an endpoint; None for one of a later version."""
    return _by_endpoint(DATASETS).get(endpoint)


def endpoints() -> tuple[str, ...]:
    """Return every endpoint of every dataset."""
    return tuple(_by_endpoint(DATASETS))


def check_endpoint(text: str) -> str:
    """Return ``text`` as the name of an endpoint: lower case, without surrounding blanks.

    Raises:
        ValueError: no dataset has it.
    """
    endpoint = text.strip().lower()
    dataset_of(endpoint)
    return endpoint


def check_ticker(text: str) -> str:
    """Return ``text`` as a ticker of some dataset; as it is, if datasets differ in how they write it.

    Raises:
        ValueError: no dataset has such tickers; the message is that of the first one.
    """
    tickers, problems = set(), []
    for dataset in DATASETS:
        try:
            tickers.add(dataset.check_ticker(text))
        except ValueError as problem:
            problems.append(problem)
    if not tickers:
        raise problems[0]
    return tickers.pop() if len(tickers) == 1 else text.strip()


def is_ticker(text: str, ticker: str, endpoint: str) -> bool:
    """Return whether a text means the ticker of a job with an endpoint, by the dataset's rule."""
    dataset = find_dataset(endpoint)
    return text == ticker if dataset is None else dataset.is_ticker(text, ticker)


def records_in(counts: Mapping[str, int], endpoint: str) -> int | None:
    """Return how many records an event of a job with an endpoint counts; None if it counts none."""
    dataset = find_dataset(endpoint)
    return None if dataset is None else dataset.records_in(counts)


@cache
def _by_endpoint(datasets: tuple[Dataset, ...]) -> dict[str, Dataset]:
    return {endpoint: dataset for dataset in datasets for endpoint in dataset.endpoints}
