"""Partitions and the names they are built from: tickers, endpoints, trading days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

_GEX: Final = ("gex_zero", "gex_one", "gex_full")
_GREEKS: Final = tuple(
    f"{greek}_{expiry}" for greek in ("delta", "gamma", "charm", "vanna") for expiry in ("zero", "one")
)
PACKAGES: Final = {"classic": _GEX, "state": (*_GEX, *_GREEKS), "orderflow": ("orderflow",)}
"""The vendor's packages, and the categories of which each has a history (its public API specification)."""

MAX_TICKER_LENGTH: Final = 32
_TICKER = re.compile(r"[A-Z0-9^][A-Z0-9_.^-]*")


def endpoint_of(package: str, category: str) -> str | None:
    """Return the lake's name of a category of a package; None if the package has no such category.

    The categories of ``classic`` are endpoints as they are, as is ``orderflow``, the only one of its package;
    those of ``state`` go by both names, as in ``state_gex_zero``.
    """
    return _endpoint(package, category) if category in PACKAGES.get(package, ()) else None


def _endpoint(package: str, category: str) -> str:
    return category if package in {"classic", category} else f"{package}_{category}"


_VENDOR_NAMES: Final = {
    _endpoint(package, category): (package, category)
    for package, categories in PACKAGES.items()
    for category in categories
}
ENDPOINTS: Final = tuple(_VENDOR_NAMES)
"""Every endpoint; each belongs to one package."""


def package_and_category(endpoint: str) -> tuple[str, str]:
    """Return the vendor's names of an endpoint: its package, and its category there.

    Raises:
        ValueError: it is no endpoint.
    """
    return _VENDOR_NAMES[normalize_endpoint(endpoint)]


_ALIASES: Final = {expiry: f"gex_{expiry}" for expiry in ("zero", "one", "full")} | {
    f"{prefix}{greek}": f"{greek}_{expiry}"
    for greek in ("delta", "gamma", "charm", "vanna")
    for prefix, expiry in (("", "zero"), ("one", "one"))
}


def category_named(text: str) -> str:
    """Return the category of one of the vendor's further names, such as ``full``; another text as it is."""
    return _ALIASES.get(text, text)


def in_package(endpoint: str, package: str) -> str | None:
    """Return the endpoint of the same category in ``package``; None if that has no such category."""
    return endpoint_of(package, endpoint.removeprefix("state_"))


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
