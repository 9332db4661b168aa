"""Request minute bars and snapshots from Massive's REST API, with httpx.

The key goes to the address of the API only: the next page is asked for by the path and query of ``next_url``,
whatever host it names, and redirects are not followed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
from pydantic import SecretStr

from services.fetcher.errors import SourceBusy
from services.fetcher.massive import decode
from services.fetcher.massive.decode import BarPage, SnapshotPage
from services.fetcher.massive.errors import (
    DayNotOver,
    MalformedAnswer,
    MassiveKeyMissing,
    MassiveKeyRefused,
    NotEntitled,
    RateLimited,
    RequestRefused,
    SymbolUnknown,
)
from services.fetcher.sources.http_errors import translate_errors
from services.fetcher.sources.response_policy import host_of, retry_after_s
from shared.errors import GexlakeError
from shared.process.redaction import HIDDEN

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
PAGE_LIMIT: Final = 50_000
"""The most that the vendor gives: about a month and a half of a liquid symbol, extended hours included."""
_RETRY_S: Final = 20.0
_MAX_TEXT: Final = 300
"""Of the vendor's words in an error; the key is redacted before, so no part of it is left at the end."""
_BUSY: Final = frozenset({408, 425})
_BEFORE_END_OF_DAY: Final = "before end of day"
_SNAPSHOTS: Final = "/v2/snapshot/locale/us/markets/stocks/tickers"
_Sent = TypeVar("_Sent", bytes, str)
_Decoded = TypeVar("_Decoded")
Received: TypeAlias = Callable[[int], Awaitable[None]]
"""Called with the size of each chunk of a response, as it was sent."""


async def _ignore(_size_bytes: int) -> None:
    """Do nothing."""


class DayRange(NamedTuple):
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def months_of(days: DayRange) -> Iterator[DayRange]:
    """Yield the months of a range, the first and the last cut to it: a backfill is resumed at one of them."""
    first = days.first
    while first <= days.last:
        next_month = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield DayRange(first, min(next_month - timedelta(days=1), days.last))
        first = next_month


class MassiveRest:
    """Requests bars and snapshots.

    Args:
        client: follows no redirects.
        base: the address of the API, without a slash at its end.
        key: the API key; without one every request fails.
        wait_for_turn: returns when the plan allows another call.
        received: may wait, to limit the bandwidth.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        base: str,
        key: SecretStr | None,
        wait_for_turn: Callable[[], Awaitable[None]],
        received: Received = _ignore,
    ) -> None:
        self._client = client
        self._base = base
        self._key = key
        self._wait_for_turn = wait_for_turn
        self._received = received
        self._host = host_of(base)

    async def minute_bars(
        self, symbol: str, days: DayRange, *, adjusted: bool
    ) -> AsyncGenerator[BarPage, None]:
        """Yield the minute bars of a range of days, at most a month, in the order of time.

        Args:
            symbol: as the vendor writes it.
            days: which.
            adjusted: in shares of today, by all splits since; otherwise as traded.

        Raises:
            Terminal: there is no key, the vendor refuses, or its response cannot be read.
            Deferred: the plan allows the request later.
            Transient: it does not respond in time, or is busy.
        """
        what = f"minute bars of {symbol}, {days}"
        query = urlencode({"adjusted": str(adjusted).lower(), "sort": "asc", "limit": PAGE_LIMIT})
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/1/minute/{days.first}/{days.last}?{query}"
        seen: set[str] = set()
        while True:
            seen.add(path)
            page = self._decoded(what, decode.bar_page, await self._get(path, symbol, what))
            yield page
            if page.next_url is None:
                return
            path = self._decoded(what, _path_of, page.next_url)
            if path in seen:
                raise MalformedAnswer(self._host, what, "next_url names a page that was read before")

    async def snapshot(self, symbol: str) -> SnapshotPage:
        """Return the snapshot of a symbol.

        Raises:
            GexlakeError: as ``minute_bars``.
        """
        what = f"the snapshot of {symbol}"
        content = await self._get(f"{_SNAPSHOTS}/{quote(symbol, safe='')}", symbol, what)
        return self._decoded(what, decode.snapshot, content)

    async def snapshots(self, symbols: Sequence[str] = ()) -> SnapshotPage:
        """Return the snapshots of up to 250 symbols, or of all; those that the vendor lacks are left out.

        Raises:
            GexlakeError: as ``minute_bars``.
        """
        query = f"?{urlencode({'tickers': ','.join(symbols)})}" if symbols else ""
        content = await self._get(_SNAPSHOTS + query, "", "snapshots")
        return self._decoded("snapshots", decode.snapshots, content)

    async def _get(self, path: str, symbol: str, what: str) -> bytes:
        if self._key is None:
            raise MassiveKeyMissing(self._host)
        await self._wait_for_turn()
        headers = {
            "Authorization": f"Bearer {self._key.get_secret_value()}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        with translate_errors(self._host):
            async with self._client.stream(
                "GET", self._base + path, headers=headers, follow_redirects=False
            ) as response:
                content = await self._read(response, what)
        if response.status_code != 200:
            raise self._refusal(response, decode.error_text(content), symbol, what)
        return content

    async def _read(self, response: httpx.Response, what: str) -> bytes:
        content, received_bytes = bytearray(), 0
        async for chunk in response.aiter_bytes():
            content += chunk
            await self._received(response.num_bytes_downloaded - received_bytes)
            received_bytes = response.num_bytes_downloaded
            if len(content) > MAX_RESPONSE_BYTES:
                raise MalformedAnswer(self._host, what, f"more than {MAX_RESPONSE_BYTES} bytes")
        return bytes(content)

    def _refusal(self, response: httpx.Response, text: str, symbol: str, what: str) -> GexlakeError:
        status = response.status_code
        wait_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        if status == 429:
            return RateLimited(f"{self._host} answered 429", _RETRY_S if wait_s is None else wait_s)
        if status in _BUSY or status >= 500:
            return SourceBusy(self._host, status, wait_s)
        return self._final(status, self._without_key(text)[:_MAX_TEXT], symbol, what)

    def _final(self, status: int, text: str, symbol: str, what: str) -> GexlakeError:
        match status:
            case 401:
                return MassiveKeyRefused(self._host)
            case 403 if _BEFORE_END_OF_DAY in text:
                return DayNotOver(self._host, what)
            case 403:
                return NotEntitled(self._host, what, text)
            case 404 if symbol:
                return SymbolUnknown(self._host, symbol)
        return RequestRefused(self._host, what, status, text)

    def _decoded(self, what: str, decoder: Callable[[_Sent], _Decoded], content: _Sent) -> _Decoded:
        try:
            return decoder(content)
        except ValueError as error:
            raise MalformedAnswer(self._host, what, self._without_key(str(error))) from None

    def _without_key(self, text: str) -> str:
        return text.replace(self._key.get_secret_value(), HIDDEN) if self._key else text


def _path_of(next_url: str) -> str:
    """Return the path and query of a URL, without a key.

    Raises:
        ValueError: it is no URL; appended to the address of the API, the text might name another host.
    """
    parts = urlsplit(next_url)
    if not parts.path.startswith("/"):
        raise ValueError(f"next_url is no URL with a path: {next_url[:100]!r}")
    fields = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() != "apikey"]
    return f"{parts.path}?{urlencode(fields)}"
