"""The body of an answer, past httpx's parser where that has nothing to parse.

h11 copies every byte three times, which is most of what a fetch costs. A body that has a length is just so
many bytes on the connection: first comes what the parser has read ahead, the rest is read from there, into
large blocks that whoever takes it is handed slices of.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, cast

import httpcore
import httpx

from services.fetcher.download.ranges import length
from services.fetcher.sockets_httpcore import SocketStream
from services.fetcher.sources.http_errors import translate_errors
from services.fetcher.sources.source import Chunk

_BLOCK_BYTES: Final = 1024 * 1024
_LEAST_BYTES: Final = 64 * 1024
"""A block with less room left is not read into any more."""


async def chunks(response: httpx.Response, host: str) -> AsyncGenerator[Chunk, None]:
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
    with translate_errors(host):
        async with aclosing(parsed):
            async for chunk in parsed:
                yield chunk
                if missing is not None:
                    missing -= len(chunk)
                    break
            room = memoryview(b"")
            while missing:
                if len(room) < min(missing, _LEAST_BYTES):
                    room = memoryview(bytearray(min(missing, _BLOCK_BYTES)))
                count = await _fill(response, room[:missing])
                yield room[:count]
                room, missing = room[count:], missing - count


async def _fill(response: httpx.Response, room: memoryview) -> int:
    """Read what comes next on the connection; errors are those that httpx would raise."""
    connection: SocketStream = response.extensions["network_stream"]
    try:
        count = await connection.fill(room, response.request.extensions["timeout"]["read"])
    except (httpcore.TimeoutException, httpcore.NetworkError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
    if not count:
        raise httpx.RemoteProtocolError("the connection ended before the body")
    return count
