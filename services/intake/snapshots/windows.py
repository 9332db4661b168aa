"""Ranges with strikes as one result: asked window by window, so that no query needs the memory of a day."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Final, Literal, Protocol

from gexlake.api.lake import ExportRequest, SqlRequest, SqlResponse
from services.intake.errors import Unprocessable
from services.intake.snapshots.query import WINDOW_SNAPSHOTS, export_query, starts_query
from services.intake.snapshots.request import MAX_SNAPSHOTS, SnapshotsRequest

_ARROW_END: Final = 8
"""Bytes at the end of an Arrow stream: a continuation mark and a length of 0."""
_ARROW_PREFIX: Final = 8
"""Bytes before the metadata of a message: a continuation mark and the length of the metadata."""


class Lake(Protocol):
    """What answers queries."""

    async def rows(self, request: SqlRequest) -> SqlResponse:
        """Return the rows of a query."""

    def export(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        """Yield the whole result of a query."""


async def export_windows(
    lake: Lake, asked: SnapshotsRequest, form: Literal["csv", "arrow"]
) -> AsyncGenerator[bytes, None]:
    """Yield the whole result of a range with strikes in chunks.

    Raises:
        Refused: a query is refused or fails; perhaps after the first chunks.
    """
    found = await lake.rows(SqlRequest(query=starts_query(asked), max_rows=MAX_SNAPSHOTS))
    if found.truncated:
        raise Unprocessable(
            "end", "range", f"end: a range has at most {MAX_SNAPSHOTS * WINDOW_SNAPSHOTS} snapshots"
        )
    starts = [start for (start,) in found.rows] or [asked.start_ms]
    for number, (start_ms, end_ms) in enumerate(pairwise([*starts, asked.end_ms])):
        query = export_query(replace(asked, start_ms=start_ms, end_ms=end_ms), nested=form == "arrow")
        async with aclosing(lake.export(ExportRequest(query=query, format=form))) as chunks:
            rest: AsyncIterator[bytes] = chunks
            if number:
                rest = _without_head(rest, _schema_size if form == "arrow" else _header_size)
            async for chunk in _without_end(rest, _ARROW_END if form == "arrow" else 0):
                yield chunk
    if form == "arrow":
        yield b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _schema_size(head: bytes) -> int | None:
    """Return the size of the first message of an Arrow stream, which has no body; None if that takes more."""
    if len(head) < _ARROW_PREFIX:
        return None
    return _ARROW_PREFIX + int.from_bytes(head[4:_ARROW_PREFIX], "little")


def _header_size(head: bytes) -> int | None:
    """Return the size of the header of a CSV file; None if that takes more."""
    return head.find(b"\n") + 1 or None


async def _without_head(
    chunks: AsyncIterator[bytes], size_of: Callable[[bytes], int | None]
) -> AsyncIterator[bytes]:
    head, size = b"", None
    async for chunk in chunks:
        if size is not None:
            yield chunk
            continue
        head += chunk
        size = size_of(head)
        if size is not None and len(head) < size:
            size = None
        elif size is not None:
            yield head[size:]


async def _without_end(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    held = b""
    async for chunk in chunks:
        held += chunk
        if len(held) > size:
            yield held[: len(held) - size]
            held = held[len(held) - size :]
