"""Files over HTTP, by httpx: streamed as they are, redirects only through the gate, errors translated."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

import shared
from services.fetcher.answers import (
    MAX_REDIRECTS,
    REDIRECTS,
    check_headers,
    check_source,
    host_of,
    redirect_target,
    refusal,
    retry_after_s,
)
from services.fetcher.errors import SourceRefused, SourceUnavailable, UnusableAnswer
from services.fetcher.network_httpcore import REDIRECTS_TO, GatedBackend, GatedTransport
from services.fetcher.ranges import length, range_request, strong_etag, total_of_rest
from services.fetcher.source import Body, Held
from shared.errors import GexlakeError
from shared.sources import SourceGate

_OF_RANGES: Final = frozenset({206, 416})

UNAVAILABLE: Final[dict[type[Exception], str]] = {
    httpx.TransportError: "could not be reached",
    httpx.NetworkError: "could not be reached",
    httpx.ConnectError: "could not be reached",
    httpx.ProxyError: "could not be reached",
    httpx.ReadError: "broke off the connection",
    httpx.WriteError: "broke off the connection",
    httpx.CloseError: "broke off the connection",
    httpx.ProtocolError: "broke off the connection or did not speak HTTP",
    httpx.RemoteProtocolError: "broke off the connection or did not speak HTTP",
    httpx.TimeoutException: "did not answer in time",
    httpx.ConnectTimeout: "did not accept a connection in time",
    httpx.ReadTimeout: "sent nothing for too long",
    httpx.WriteTimeout: "did not take the request in time",
    httpx.PoolTimeout: "had no free connection in time",
}
"""Errors of httpx after which asking again may help, and what they say about the source."""

UNUSABLE: Final[dict[type[Exception], str]] = {
    httpx.HTTPError: "gave an answer that cannot be used",
    httpx.RequestError: "gave an answer that cannot be used",
    httpx.HTTPStatusError: "gave an answer that cannot be used",
    httpx.DecodingError: "gave an answer that cannot be decoded",
    httpx.TooManyRedirects: "redirects again and again",
    httpx.CookieConflict: "sent cookies that contradict one another",
}
"""Errors of httpx after which asking again cannot help."""

REFUSED: Final[dict[type[Exception], str]] = {
    httpx.InvalidURL: "the URL is malformed",
    httpx.UnsupportedProtocol: "the URL's scheme is not supported",
    httpx.LocalProtocolError: "the URL cannot be put into a request",
}
"""Errors of httpx that the URL is to blame for."""

MISUSE: Final = frozenset(
    {
        httpx.StreamError,
        httpx.StreamConsumed,
        httpx.StreamClosed,
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
    }
)
"""Errors of httpx that only a mistake in this file could cause: they are passed on as they are."""


def new_client(
    connect_timeout_s: float,
    read_timeout_s: float,
    network: GatedBackend,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """Return the client that a fetcher asks with: no proxies, no cookies, nothing followed or compressed.

    Args:
        connect_timeout_s: how long finding and connecting may take, and again the handshake of TLS.
        read_timeout_s: how long the source may say nothing.
        network: connects to the hosts of its gate, and to no others whatever is asked.
        ssl_context: whom to trust; by default the authorities of certifi.
    """
    return httpx.AsyncClient(
        transport=GatedTransport(network, ssl_context or httpx.create_ssl_context(trust_env=False)),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
        headers={
            "User-Agent": f"gexlake/{shared.__version__}",
            "Accept": "application/json, application/gzip, */*",
            "Accept-Encoding": "identity",
        },
    )


class HttpxSource:
    """Asks for files over HTTP.

    Args:
        client: from ``new_client``.
        gate: says which URLs may be asked, redirects included.
    """

    def __init__(self, client: httpx.AsyncClient, gate: SourceGate) -> None:
        self._client = client
        self._gate = gate

    @asynccontextmanager
    async def open(self, url: str, held: Held | None = None) -> AsyncIterator[Body]:
        """Ask for a file, and again where up to three redirects lead.

        When in doubt whether an answer is the rest of what is held, the whole is asked for.
        """
        check_source(self._gate, url)
        response = await self._follow(url, range_request(held) if held else {})
        if held and response.status_code in _OF_RANGES and not _is_rest(response, held):
            await response.aclose()
            response = await self._follow(url, {})
            held = None
        try:
            yield _body(response, held)
        finally:
            await response.aclose()

    async def _follow(self, url: str, headers: dict[str, str]) -> httpx.Response:
        first_host = host_of(url)
        for _ in range(MAX_REDIRECTS + 1):
            with _translated(host_of(url)):
                request = self._client.build_request("GET", url, headers=headers)
                response = await self._client.send(request, stream=True)
            if response.status_code not in REDIRECTS:
                return response
            await response.aclose()
            url = redirect_target(self._gate, url, response.extensions[REDIRECTS_TO])
        raise UnusableAnswer(first_host, f"redirects more than {MAX_REDIRECTS} times")


def _is_rest(response: httpx.Response, held: Held) -> bool:
    return response.status_code == 206 and total_of_rest(response.headers, held) is not None


def _body(response: httpx.Response, held: Held | None) -> Body:
    """Return what the answer holds: the rest of ``held``, or the whole file.

    Raises:
        Terminal: it holds no file, and asking again will not change that.
        Transient: it holds none for now.
    """
    host, headers, chunks = host_of(str(response.url)), response.headers, _chunks(response)
    if held and response.status_code == 206:
        check_headers(host, headers)
        return Body(host, total_of_rest(headers, held), chunks, held.size_bytes, held.etag)
    asked_s = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))
    if error := refusal(host, response.status_code, asked_s):
        raise error
    check_headers(host, headers)
    return Body(host, length(headers), chunks, etag=strong_etag(headers))


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    with _translated(host_of(str(response.url))):
        async for chunk in response.aiter_raw():
            yield chunk


@contextmanager
def _translated(host: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
        raise translate(error, host) from error


def translate(error: Exception, host: str) -> GexlakeError:
    """Return our error for one of httpx; of its text only the operating system's words are kept."""
    for kind in type(error).__mro__:
        if kind in UNAVAILABLE:
            return SourceUnavailable(host, f"{UNAVAILABLE[kind]}{_cause(error)}")
        if kind in REFUSED:
            return SourceRefused(REFUSED[kind])
        if kind in UNUSABLE:
            return UnusableAnswer(host, UNUSABLE[kind])
    raise TypeError(f"{type(error).__name__} is no error of a request") from error


def _cause(error: Exception) -> str:
    """Return the reason below httpx in brackets, for a failed connection; it knows no URL."""
    text = str(error) if isinstance(error, httpx.ConnectError) else ""
    return f" ({text})" if text else ""
