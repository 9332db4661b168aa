"""The URLs of the vendor's API for a day of history.

``<base>/hist/<ticker>/<package>/<category>/<YYYY-MM-DD>?noredirect`` is answered with the signed URL of the
day's file. The URL itself holds no secret: the key goes in a header, to this API and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import quote, unquote

from shared.gexbot.partition import Partition, endpoint_of, normalize_ticker, package_and_category

DEFAULT_BASE: Final = "https://api.gex.bot/v2"
HISTORY_DAYS: Final = 90
"""How many days back the vendor keeps history."""
NO_REDIRECT: Final = "?noredirect"
"""Makes the API return the signed URL instead of redirecting to it."""


@dataclass(frozen=True)
class VendorApi:
    """The vendor's API at one address; ``shared.sources.settings`` reads and checks it."""

    base: str
    """Without a slash at its end."""

    def base_url_of(self, partition: Partition) -> str:
        """Return where the history of a partition is, without the query."""
        package, category = package_and_category(partition.endpoint)
        ticker = quote(partition.ticker, safe="")
        return f"{self.base}/hist/{ticker}/{package}/{category}/{partition.trading_day.isoformat()}"

    def url_of(self, partition: Partition) -> str:
        """Return the whole URL that asks for the history of a partition."""
        return self.base_url_of(partition) + NO_REDIRECT

    def partition_of(self, url: str) -> Partition | None:
        """Return the partition of a URL of this API; None if it has another form.

        It must equal the URL from ``url_of``, with or without the query: the key goes to no other URL.
        """
        base_url = url.removesuffix(NO_REDIRECT)
        partition = _read_path(base_url.removeprefix(f"{self.base}/hist/"))
        if partition is None or self.base_url_of(partition) != base_url:
            return None
        return partition


def base_of(url: str) -> str | None:
    """Return the API base of a day's URL without its query; None if it has another form."""
    base, hist, path = url.rpartition("/hist/")
    return base if base and hist and _read_path(path) is not None else None


def _read_path(path: str) -> Partition | None:
    match path.split("/"):
        case [ticker, package, category, day]:
            endpoint = endpoint_of(package, category)
            try:
                if endpoint is not None:
                    return Partition(normalize_ticker(unquote(ticker)), endpoint, date.fromisoformat(day))
            except ValueError:
                pass
    return None
