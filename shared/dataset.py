"""What a dataset is to the rest of gexlake: endpoints, tickers, files and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol


class SourceFile(Protocol):
    """The job of a file, as far as the names of the file depend on it."""

    @property
    def base_url(self) -> str: ...
    @property
    def ticker(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def trading_day(self) -> date | None: ...


def _as_it_is(base_url: str) -> Iterable[str]:
    return (base_url,)


@dataclass(frozen=True, eq=False)
class Dataset:
    """What jobs, staged files, views and metrics need to know of a dataset.

    Args:
        name: of the dataset, and of its staged files' folder: ``source/<name>/<ticker>/<endpoint>/<file>``.
        endpoints: the kinds of data that its jobs bring in; no other dataset has one of these names.
        check_ticker: returns a text as the dataset writes tickers, or raises ValueError.
        tables: the tables of the rows that its events count, by the name of the count; the first one that an
            event has is the number of its records.
        file_names: returns the names that a job's staged file may have.
        urls_of: returns the whole URLs without a secret that a job may have, of its URL without a query.
        symbol_of: returns the market symbol that a ticker is about.
    """

    name: str
    endpoints: tuple[str, ...]
    check_ticker: Callable[[str], str]
    tables: Mapping[str, str]
    file_names: Callable[[SourceFile], Iterable[str]]
    urls_of: Callable[[str], Iterable[str]] = _as_it_is
    symbol_of: Callable[[str], str] = str

    def has_file(self, job: SourceFile) -> bool:
        """Return whether a job stages a file, which is then imported."""
        return any(True for _ in self.file_names(job))

    def records_in(self, counts: Mapping[str, int]) -> int | None:
        """Return the number of records among the counts of an event; None if it has none."""
        return next((counts[name] for name in self.tables if name in counts), None)

    def is_ticker(self, text: str, ticker: str) -> bool:
        """Return whether a text, however the dataset lets it be written, means a ticker."""
        try:
            return self.check_ticker(text) == ticker
        except ValueError:
            return False
