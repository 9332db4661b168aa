"""The body of an answer, past httpx's parser where that has nothing to parse.

h11 copies every byte three times, which is most of what a fetch costs. A body that has a length is just so
many bytes on the connection: first comes what the parser has read ahead, the rest is read from there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, cast

import httpcore
import httpx

from services.fetcher.errors_httpx import translated
from services.fetcher.ranges import length

_PIECE_BYTES: Final = 256 * 1024
"""No more than asyncio hands on at once."""


async def chunks(response: httpx.Response, host: str) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes, with no encoding undone.

    Args:
        response: the answer, of which nothing was read yet.
        host: how to name the source.

    Raises:
        SourceUnavailable: it broke off or went silent.
    """
    missing = None if "Transfer-Encoding" in response.headers else length(response.headers)
    parsed = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    # The parser is closed in the end and not before: it takes the connection with it.
    with translated(host):
        async with aclosing(parsed):
            async for chunk in parsed:
                yield chunk
                if missing is not None:
                    missing -= len(chunk)
                    break
            while missing:
                chunk = await _next(response)
                yield chunk[:missing]
                missing -= min(missing, len(chunk))


async def _next(response: httpx.Response) -> bytes:
    """Return what comes next on the connection; errors are those that httpx would raise."""
    connection: httpcore.AsyncNetworkStream = response.extensions["network_stream"]
    try:
        chunk = await connection.read(_PIECE_BYTES, response.request.extensions["timeout"]["read"])
    except (httpcore.TimeoutException, httpcore.NetworkError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
    if not chunk:
        raise httpx.RemoteProtocolError("the connection ended before the body")
    return chunk
