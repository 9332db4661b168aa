"""The grammar of the vendor's file names, ``<day>_<TICKER>_<package>[_<category>].json[.gz]``.

URLs of the vendor's web application have no file name, but the path
``/hist/<TICKER>/<package>/<category>[/<day>]``, or ``/chart/…``; the query may have the day as ``date``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote

from shared.gexbot.partition import (
    PACKAGES,
    Partition,
    category_named,
    endpoint_of,
    normalize_ticker,
    package_and_category,
)

MAX_NAME_LENGTH: Final = 200
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._^-]*\.jsonl?(\.gz)?")
_VENDOR = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})_(?P<ticker>[A-Za-z0-9_.^-]+?)"
    rf"(?:_(?P<package>{'|'.join(PACKAGES)})(?:_(?P<category>[a-z_]+))?)?\.jsonl?(?:\.gz)?"
)

_PATH: Final = re.compile(
    rf"/(?:hist|chart)/(?P<ticker>[^/]+)/(?P<package>{'|'.join(PACKAGES)})/(?P<category>[a-z_]+)"
    r"(?:/(?P<day>\d{4}-\d{2}-\d{2}))?/?"
)


@dataclass(frozen=True)
class SourceName:
    """The parts of a source file's name; a missing part is None."""

    name: str
    trading_day: date | None = None
    ticker: str | None = None
    package: str | None = None
    category: str | None = None
    endpoint: str | None = None
    """None, too, when the package has no history of the category."""


def parse_source_name(name: str) -> SourceName:
    """Read the last segment of a source URL's path.

    A name outside the vendor's grammar is allowed and has no parts.

    Raises:
        ValueError: the name is unfit for a staged file (its characters, its length, its ending), or it
            names a day that does not exist.
    """
    if len(name) > MAX_NAME_LENGTH or not _SAFE.fullmatch(name):
        raise ValueError(
            f"the URL must end in a plain file name with .json, .jsonl or either and .gz, not {name[:80]!r}"
        )
    match = _VENDOR.fullmatch(name)
    if not match:
        return SourceName(name)
    package, category = match["package"], match["category"]
    if package and not category and len(PACKAGES[package]) == 1:
        category = PACKAGES[package][0]
    return SourceName(
        name=name,
        trading_day=_day(match["day"]),
        ticker=normalize_ticker(match["ticker"]),
        package=package,
        category=category,
        endpoint=endpoint_of(package, category) if package and category else None,
    )


def read_source_url(parts: SplitResult) -> SourceName:
    """Read the name in a source URL, or the path that stands for one.

    Raises:
        ValueError: it has neither, or names a day that does not exist.
    """
    match = _PATH.fullmatch(parts.path)
    if match is None:
        return parse_source_name(parts.path.rpartition("/")[2])
    ticker, package = normalize_ticker(unquote(match["ticker"])), match["package"]
    category = category_named(match["category"])
    text = match["day"] or next(iter(parse_qs(parts.query).get("date", ())), None)
    day = _day(text) if text else None
    start = f"{day}_" if day else ""
    name = parse_source_name(f"{start}{ticker}_{package}_{category}.json").name
    return SourceName(name, day, ticker, package, category, endpoint_of(package, category))


def vendor_name(partition: Partition, ending: str = ".json") -> str:
    """Return the name that the vendor gives to a partition's file.

    Args:
        partition: which.
        ending: ``.json``, ``.jsonl`` or either and ``.gz``.
    """
    package, category = package_and_category(partition.endpoint)
    return f"{partition.trading_day.isoformat()}_{partition.ticker}_{package}_{category}{ending}"


def _day(text: str) -> date:
    with suppress(ValueError):
        day = date.fromisoformat(text)
        if day < date.max:  # a trading day ends where the next one begins
            return day
    raise ValueError(f"the URL names {text}, which is not a day of the calendar")
