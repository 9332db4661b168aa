"""Fetch files over HTTP with httpx: streamed, redirects checked by the gate, errors translated."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, cast
from urllib.parse import urlsplit

import httpx

import gexlake
from services.fetcher.errors import SourceForbids, SourceTooSlow, UnusableAnswer
from services.fetcher.sources.gated_network import REDIRECTS_TO, GatedBackend, GatedTransport
from services.fetcher.sources.http_errors import translate_errors
from services.fetcher.sources.ranges import length, range_request, strong_etag, total_of_rest
from services.fetcher.sources.response_policy import (
    MAX_REDIRECTS,
    REDIRECTS,
    check_headers,
    check_url,
    error_for_status,
    host_of,
    max_response_s,
    redirect_target,
    retry_after_s,
)
from services.fetcher.sources.source import Body, ResumePoint
from shared.gexbot.error_answer import MAX_ERROR_BYTES, error_in
from shared.sources.gate import SourceGate

HISTORY_PATH: Final = "/hist/"
"""In the path of a URL of the vendor, where 403 also means that it throttles."""
_RANGE_STATUSES: Final = frozenset({206, 416})


def new_client(
    connect_timeout_s: float,
    read_timeout_s: float,
    network: GatedBackend,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """Return the client of a fetcher: no proxies, cookies, redirects or compression.

    Args:
        connect_timeout_s: the maximum time to resolve and connect, and again for the TLS handshake.
        read_timeout_s: how long the source may send nothing.
        network: connects to the hosts of its gate only.
        ssl_context: the trusted authorities; by default those of certifi.
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


class HttpSource:
    """Opens files over HTTP.

    Args:
        client: from ``new_client``.
        gate: decides which URLs are allowed, redirects included.
    """

    def __init__(self, client: httpx.AsyncClient, gate: SourceGate) -> None:
        self._client = client
        self._gate = gate
        timeout = client.timeout
        self._response_s = (
            max_response_s(timeout.connect, timeout.read) if timeout.connect and timeout.read else None
        )

    @asynccontextmanager
    async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
        """Open a file, following up to three redirects.

        If the response is not certainly the rest from ``resume_from`` on, the whole file is requested.
        """
        check_url(self._gate, url)
        response = await self._follow(url, range_request(resume_from) if resume_from else {})
        if resume_from and response.status_code in _RANGE_STATUSES and not _is_rest(response, resume_from):
            await response.aclose()
            response = await self._follow(url, {})
            resume_from = None
        try:
            if response.status_code == 403 and HISTORY_PATH in urlsplit(url).path:
                raise SourceForbids(host_of(str(response.url)), error_in(await _head(response)))
            yield _body(response, resume_from)
        finally:
            await response.aclose()

    async def _follow(self, url: str, headers: dict[str, str]) -> httpx.Response:
        """Return the response once its head has arrived, within a total time that includes redirects."""
        first_host = host_of(url)
        try:
            async with asyncio.timeout(self._response_s) as deadline:
                for _ in range(MAX_REDIRECTS + 1):
                    response = await self._send(url, headers)
                    if response.status_code not in REDIRECTS:
                        return response
                    await response.aclose()
                    url = redirect_target(self._gate, url, response.extensions[REDIRECTS_TO])
        except TimeoutError as error:
            if not deadline.expired():
                raise
            what = f"had not answered after {self._response_s:g} s (GEXLAKE_FETCH_READ_TIMEOUT_S)"
            raise SourceTooSlow(host_of(url), what) from error
        raise UnusableAnswer(first_host, f"redirects more than {MAX_REDIRECTS} times")

    async def _send(self, url: str, headers: dict[str, str]) -> httpx.Response:
        with translate_errors(host_of(url)):
            request = self._client.build_request("GET", url, headers=headers)
            return await self._client.send(request, stream=True)


async def _head(response: httpx.Response) -> bytes:
    """Return the first bytes of an error response."""
    head = bytearray()
    async with aclosing(_chunks(response, host_of(str(response.url)))) as chunks:
        async for chunk in chunks:
            head += chunk
            if len(head) > MAX_ERROR_BYTES:
                break
    return bytes(head)


def _is_rest(response: httpx.Response, resume_from: ResumePoint) -> bool:
    return response.status_code == 206 and total_of_rest(response.headers, resume_from) is not None


def _body(response: httpx.Response, resume_from: ResumePoint | None) -> Body:
    """Return the body of a response: the rest from ``resume_from`` on, or the whole file.

    Raises:
        Terminal: the response has no file, and a retry will not change that.
        Transient: it has no file, and a retry may succeed.
    """
    host, headers = host_of(str(response.url)), response.headers
    if resume_from and response.status_code == 206:
        check_headers(host, headers)
        return Body(
            host,
            total_of_rest(headers, resume_from),
            _chunks(response, host),
            resume_from.size_bytes,
            resume_from.etag,
        )
    wait_s = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))
    if error := error_for_status(host, response.status_code, wait_s):
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
