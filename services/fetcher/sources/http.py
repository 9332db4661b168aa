"""Files over HTTP, by httpx: streamed as they are, redirects only through the gate, errors translated."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, cast

import httpx

import gexlake
from services.fetcher.errors import SourceTooSlow, UnusableAnswer
from services.fetcher.sources.gated_network import REDIRECTS_TO, GatedBackend, GatedTransport
from services.fetcher.sources.http_errors import translate_errors
from services.fetcher.sources.ranges import length, range_request, strong_etag, total_of_rest
from services.fetcher.sources.response_policy import (
    MAX_REDIRECTS,
    REDIRECTS,
    check_headers,
    check_source,
    host_of,
    redirect_target,
    refusal,
    retry_after_s,
    slowest_answer_s,
)
from services.fetcher.sources.source import Body, Held
from shared.sources.gate import SourceGate

_OF_RANGES: Final = frozenset({206, 416})


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
            "User-Agent": f"gexlake/{gexlake.__version__}",
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
        timeout = client.timeout
        self._answer_s = (
            slowest_answer_s(timeout.connect, timeout.read) if timeout.connect and timeout.read else None
        )

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
        """Return the answer, of which the head has come: in time, and not byte by byte for an hour."""
        first_host = host_of(url)
        try:
            async with asyncio.timeout(self._answer_s) as deadline:
                for _ in range(MAX_REDIRECTS + 1):
                    response = await self._answer(url, headers)
                    if response.status_code not in REDIRECTS:
                        return response
                    await response.aclose()
                    url = redirect_target(self._gate, url, response.extensions[REDIRECTS_TO])
        except TimeoutError as error:
            if not deadline.expired():
                raise
            what = f"had not answered after {self._answer_s:g} s (GEXLAKE_FETCH_READ_TIMEOUT_S)"
            raise SourceTooSlow(host_of(url), what) from error
        raise UnusableAnswer(first_host, f"redirects more than {MAX_REDIRECTS} times")

    async def _answer(self, url: str, headers: dict[str, str]) -> httpx.Response:
        with translate_errors(host_of(url)):
            request = self._client.build_request("GET", url, headers=headers)
            return await self._client.send(request, stream=True)


def _is_rest(response: httpx.Response, held: Held) -> bool:
    return response.status_code == 206 and total_of_rest(response.headers, held) is not None


def _body(response: httpx.Response, held: Held | None) -> Body:
    """Return what the answer holds: the rest of ``held``, or the whole file.

    Raises:
        Terminal: it holds no file, and asking again will not change that.
        Transient: it holds none, and may hold one when it is asked again.
    """
    host, headers = host_of(str(response.url)), response.headers
    if held and response.status_code == 206:
        check_headers(host, headers)
        return Body(host, total_of_rest(headers, held), _chunks(response, host), held.size_bytes, held.etag)
    asked_s = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))
    if error := refusal(host, response.status_code, asked_s):
        raise error
    check_headers(host, headers)
    return Body(host, length(headers), _chunks(response, host), etag=strong_etag(headers))


async def _chunks(response: httpx.Response, host: str) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives, with no content encoding undone.

    Raises:
        SourceUnavailable: the connection broke, ended too early or sent nothing for too long.
    """
    with translate_errors(host):
        async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as chunks:
            async for chunk in chunks:
                yield chunk
