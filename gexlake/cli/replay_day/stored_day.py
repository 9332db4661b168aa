"""A stored day: how many snapshots it has, and the snapshots page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gexlake.api.lake import SqlResponse, text_literal
from gexlake.cli.errors import NoSnapshots, UnexpectedAnswer

Snapshot = dict[str, Any]


@dataclass(frozen=True)
class DayPart:
    """A trading day of one ticker and endpoint, or a part of it.

    Args:
        ticker: whose.
        endpoint: the GEX category.
        day: the date in New York.
        start: the first moment, in New York.
        end: the first moment after it; None for the end of the day.
    """

    ticker: str
    endpoint: str
    day: date
    start: time = time.min
    end: time | None = None

    def overview_query(self) -> str:
        """Return the SQL of what ``Overview.of`` reads."""
        following = datetime.combine(self.day + timedelta(days=1), time.min)
        end = following if self.end is None else datetime.combine(self.day, self.end)
        start = datetime.combine(self.day, self.start)
        return (
            "SELECT count(*), min(timestamp), max(timestamp), "  # noqa: S608 (quoted)
            "epoch_ms(new_york_time(min(timestamp))) - min(timestamp) FROM gex_snapshots "
            f"WHERE ticker = {text_literal(self.ticker)} AND endpoint = {text_literal(self.endpoint)} "
            f"AND timestamp >= new_york_ms('{start}') AND timestamp < new_york_ms('{end}')"
        )

    def __str__(self) -> str:
        part = f" from {self.start:%H:%M:%S}" if self.start != time.min else ""
        part += f" to {self.end:%H:%M:%S}" if self.end else ""
        return f"{self.ticker} {self.endpoint} {self.day}{part}"


@dataclass(frozen=True)
class Overview:
    """What a part of a day has.

    Args:
        snapshots: how many.
        first_ms: the first one, as a UTC epoch.
        last_ms: the last one.
        offset_ms: New York's offset from UTC.
    """

    snapshots: int
    first_ms: int
    last_ms: int
    offset_ms: int

    @classmethod
    def of(cls, part: DayPart, found: SqlResponse) -> Overview:
        """Read the row of ``DayPart.overview_query``.

        Raises:
            NoSnapshots: there are none.
            UnexpectedAnswer: it is something else.
        """
        try:
            ((count, first_ms, last_ms, offset_ms),) = found.rows
        except ValueError as error:
            raise UnexpectedAnswer("the lake", "it sent no overview of the day") from error
        if not count:
            raise NoSnapshots(str(part))
        return cls(count, first_ms, last_ms, offset_ms)

    @property
    def seconds(self) -> float:
        """The time between the first and the last snapshot."""
        return (self.last_ms - self.first_ms) / 1000

    def clock(self, timestamp_ms: int) -> str:
        """Return the time of day in New York."""
        moment = datetime.fromtimestamp((timestamp_ms + self.offset_ms) // 1000, tz=UTC)
        return f"{moment:%H:%M:%S}"

    def parameters(self, part: DayPart) -> dict[str, Any]:
        """Return the query of the first page of ``GET /gex/snapshots``."""
        return {
            "ticker": part.ticker,
            "endpoint": part.endpoint,
            "start": self.first_ms,
            "end": self.last_ms + 1,
            "strikes": "true",
        }


async def read_snapshots(
    first: Callable[[], Any], following: Callable[[str], Any]
) -> AsyncGenerator[Snapshot, None]:
    """Yield the snapshots of all pages; while those of one are used, the next one is read.

    Args:
        first: returns the first page; called in a thread.
        following: returns the page of a path; called in a thread.

    Raises:
        CommandFailed: a page cannot be read.
    """
    coming: asyncio.Task[Any] | None = asyncio.create_task(asyncio.to_thread(first))
    try:
        while coming is not None:
            page = await coming
            path = page.get("next")
            coming = asyncio.create_task(asyncio.to_thread(following, path)) if path else None
            for snapshot in page["snapshots"]:
                yield snapshot
    finally:
        if coming is not None:
            coming.cancel()
