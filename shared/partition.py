"""Partitions and the names they are built from: tickers, endpoints, trading days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

ENDPOINTS: Final = ("gex_zero", "gex_one", "gex_full")
"""The GEX categories of the vendor's classic package (reference: the vendor's public API)."""

MAX_TICKER_LENGTH: Final = 32
_TICKER = re.compile(r"[A-Z0-9^][A-Z0-9_.^-]*")


@dataclass(frozen=True, order=True)
class Partition:
    """One (ticker, endpoint, trading day): the unit that an import replaces."""

    ticker: str
    endpoint: str
    trading_day: date

    def __str__(self) -> str:
        return f"{self.ticker} {self.endpoint} {self.trading_day}"


def normalize_ticker(text: str) -> str:
    """Return ``text`` as a ticker: upper case, without surrounding blanks.

    Raises:
        ValueError: it is empty, over 32 characters, or has a character that no ticker has.
    """
    ticker = text.strip().upper()
    if len(ticker) > MAX_TICKER_LENGTH:
        raise ValueError(f"the ticker has {len(ticker)} characters; at most {MAX_TICKER_LENGTH} are allowed")
    if not _TICKER.fullmatch(ticker) or ".." in ticker:
        raise ValueError(f"{text!r} is not a ticker: letters, digits and the characters _ . ^ - are allowed")
    return ticker


def normalize_endpoint(text: str) -> str:
    """Return ``text`` as one of ``ENDPOINTS``.

    Raises:
        ValueError: it is none of them.
    """
    endpoint = text.strip().lower()
    if endpoint not in ENDPOINTS:
        raise ValueError(f"{text!r} is not an endpoint: use one of {', '.join(ENDPOINTS)}")
    return endpoint
