"""The data that jobs fetch from the vendor, and their URLs: bars by REST, snapshots, and flat files.

A URL holds no secret: the key goes in a header, to the configured address and nowhere else, and the signature
of a flat file is made just before its download. So a URL is a job's identity, as for files of history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from shared.massive import flat_files
from shared.massive.symbols import check_symbol

DEFAULT_API: Final = "https://api.massive.com"
DEFAULT_FILES: Final = "https://files.massive.com"
DEFAULT_STREAM: Final = "wss://socket.massive.com/stocks"

BARS_ENDPOINT: Final = "ohlcv_1m"
"""The endpoint of jobs that fetch minute bars."""
SNAPSHOTS_ENDPOINT: Final = "snapshots"
"""The endpoint of jobs that fetch market snapshots."""
WHOLE_MARKET: Final = "us_stocks_sip"
"""What jobs of flat files have in place of a ticker: the vendor's name of the data set of all stocks."""
MANY_SYMBOLS: Final = "symbols"
"""What the ticker of jobs for several symbols begins with; the number of the batch follows."""
MAX_SYMBOLS: Final = 250
"""How many symbols one request for snapshots names."""
MAX_DAYS: Final = 31
"""How many days one request for bars covers: a month has fewer bars than the vendor's page."""

_MINUTE_BARS: Final = "/v2/aggs/ticker/"
_SNAPSHOTS: Final = "/v2/snapshot/locale/us/markets/stocks/tickers"


@dataclass(frozen=True)
class MinuteBars:
    """Minute bars of a symbol, by REST."""

    symbol: str
    first: date
    last: date
    """Included."""
    adjusted: bool = False

    @property
    def endpoint(self) -> str:
        """The endpoint of its job."""
        return BARS_ENDPOINT

    @property
    def ticker(self) -> str:
        """The ticker of its job."""
        return self.symbol

    @property
    def query(self) -> str:
        """The query of its URL."""
        return urlencode({"adjusted": str(self.adjusted).lower()})

    @property
    def path(self) -> str:
        """Path and query."""
        symbol = quote(self.symbol, safe="")
        return f"{_MINUTE_BARS}{symbol}/range/1/minute/{self.first}/{self.last}?{self.query}"


@dataclass(frozen=True)
class Snapshots:
    """The market snapshots of symbols, by REST."""

    symbols: tuple[str, ...]
    """In alphabetical order, one to 250."""

    @property
    def endpoint(self) -> str:
        """The endpoint of their job."""
        return SNAPSHOTS_ENDPOINT

    @property
    def ticker(self) -> str:
        """The ticker of their job."""
        return self.symbols[0] if len(self.symbols) == 1 else MANY_SYMBOLS

    @property
    def path(self) -> str:
        """Path and query."""
        if len(self.symbols) == 1:
            return f"{_SNAPSHOTS}/{quote(self.symbols[0], safe='')}"
        return f"{_SNAPSHOTS}?{urlencode({'tickers': ','.join(self.symbols)})}"


@dataclass(frozen=True)
class FlatFile:
    """The minute bars of a day, all symbols in one file."""

    day: date

    @property
    def endpoint(self) -> str:
        """The endpoint of its job."""
        return BARS_ENDPOINT

    @property
    def ticker(self) -> str:
        """The ticker of its job."""
        return WHOLE_MARKET

    @property
    def path(self) -> str:
        """The path, which begins with the bucket."""
        return f"/{flat_files.BUCKET}/{flat_files.key_of(self.day)}"


Resource: TypeAlias = MinuteBars | Snapshots | FlatFile


@dataclass(frozen=True)
class MassiveUrls:
    """The URLs of the vendor's data, at configured addresses.

    Args:
        api: of REST, without a slash at its end.
        files: of flat files, without a slash at its end.
    """

    api: str = DEFAULT_API
    files: str = DEFAULT_FILES

    def url_of(self, resource: Resource) -> str:
        """Return the URL of a resource."""
        return (self.files if isinstance(resource, FlatFile) else self.api) + resource.path

    def base_url_of(self, resource: Resource) -> str:
        """Return the URL without its query, which identifies the job; adjusted bars are another job's."""
        base_url = self.url_of(resource).partition("?")[0]
        is_adjusted = isinstance(resource, MinuteBars) and resource.adjusted
        return f"{base_url}/adjusted" if is_adjusted else base_url

    def resource_of(self, url: str) -> Resource | None:
        """Return the resource of a URL; None if no resource at these addresses has exactly this one."""
        try:
            resource = self._read(url)
        except ValueError:
            return None
        return resource if resource is not None and self.url_of(resource) == url else None

    def _read(self, url: str) -> Resource | None:
        if url.startswith(f"{self.files}/{flat_files.BUCKET}/"):
            return FlatFile(flat_files.day_of(url.removeprefix(f"{self.files}/{flat_files.BUCKET}/")))
        if not url.startswith(f"{self.api}/"):
            return None
        parts = urlsplit(url.removeprefix(self.api))
        query = parse_qs(parts.query)
        match parts.path.split("/"):
            case ["", "v2", "aggs", "ticker", symbol, "range", "1", "minute", first, last]:
                return MinuteBars(
                    check_symbol(unquote(symbol)),
                    date.fromisoformat(first),
                    date.fromisoformat(last),
                    adjusted=query.get("adjusted") == ["true"],
                )
            case ["", *_, "tickers"] if "tickers" in query:
                symbols = tuple(check_symbol(symbol) for symbol in query["tickers"][0].split(","))
                return Snapshots(symbols) if len(symbols) <= MAX_SYMBOLS else None
            case ["", *_, "tickers", symbol]:
                return Snapshots((check_symbol(unquote(symbol)),))
        return None


def minute_bars_of(base_url: str) -> MinuteBars | None:
    """Return the bars that a job with a base URL fetches, at whatever address; None if it fetches others."""
    of_api, found, rest = base_url.partition(_MINUTE_BARS)
    match rest.split("/") if found and of_api else []:
        case [symbol, "range", "1", "minute", first, last, *adjusted] if adjusted in ([], ["adjusted"]):
            try:
                days = date.fromisoformat(first), date.fromisoformat(last)
                return MinuteBars(check_symbol(unquote(symbol)), *days, adjusted=bool(adjusted))
            except ValueError:
                return None
    return None
