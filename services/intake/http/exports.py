"""Whole results of queries, streamed as Arrow or CSV."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final, Literal

from fastapi import Response
from fastapi.responses import StreamingResponse

Form = Literal["csv", "arrow"]

ARROW: Final = "application/vnd.apache.arrow.stream"
CSV: Final = "text/csv"
_FORMS: Final[dict[str, Form]] = {ARROW: "arrow", CSV: "csv"}
CONTENT: Final[dict[str, Any]] = {name: {"schema": {"type": "string", "format": "binary"}} for name in _FORMS}
"""What OpenAPI says of a whole result."""


def wanted_form(accept: str) -> Form | None:
    """Return the form of the first media type in an Accept header that is one; None for JSON."""
    types = (each.partition(";")[0].strip().lower() for each in accept.split(","))
    return next((_FORMS[each] for each in types if each in _FORMS), None)


async def stream_result(chunks: AsyncGenerator[bytes, None], form: Form) -> Response:
    """Return a response with the whole result of a query.

    Raises:
        Refused: the query is refused; one that fails later ends the response early.
    """
    # A query that is refused is answered as such, so the first chunk comes before the headers.
    first = await anext(chunks, None)
    content_type = ARROW if form == "arrow" else CSV
    if first is None:
        return Response(b"", media_type=content_type)
    return StreamingResponse(_joined(first, chunks), media_type=content_type)


async def _joined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()
