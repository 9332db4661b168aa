"""Read a request's body within a limit, whether or not its length was announced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from services.intake.errors import TooLarge

MAX_BODY_BYTES: Final = 1024 * 1024
_PATIENCE: Final = 16
"""A body up to this many times the limit is read to its end and thrown away before it is refused: closing
the connection at once would make many clients see a reset instead of the answer."""


async def read_limited(
    chunks: AsyncIterator[bytes], announced: str | None, limit: int = MAX_BODY_BYTES
) -> bytes:
    """Return the body.

    Args:
        chunks: the body as it comes in.
        announced: the Content-Length header; None for a chunked body.
        limit: in bytes.

    Raises:
        TooLarge: the body is over the limit; never more than the limit is kept in memory.
    """
    if announced is not None and announced.isdecimal() and int(announced) > _PATIENCE * limit:
        raise TooLarge(limit)
    body, seen = bytearray(), 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen <= limit:
            body += chunk
        elif seen > _PATIENCE * limit:
            break
    if seen > limit:
        raise TooLarge(limit)
    return bytes(body)
