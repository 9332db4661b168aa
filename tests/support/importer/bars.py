"""Batches of CHRONOX without a broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.importer.bars.store import BarCounts, store_bars
from services.importer.feeds.position import FeedPosition
from services.importer.lake.database import Lake
from shared.bus import subjects
from shared.bus.consumer.batch import Batch, StreamFound, StreamMessage
from shared.bus.feeds import bar_messages
from shared.bus.feeds.bar_messages import Bars, ChronoxMessage, bars_message
from shared.massive.bars import Bar, BarSource
from tests.support.values import NOON

CREATED_AT = datetime(2025, 11, 14, 9, tzinfo=UTC)
OPEN_MS = 1763130600_000
"""09:30 in New York on 2025-11-14."""


def a_bar(minute: int = 0, **changes: Any) -> Bar:
    """Return the bar of the ``minute``-th minute after the open."""
    bar = Bar(OPEN_MS + 60_000 * minute, 270.5, 271.0, 270.0, 270.75, 1200.5, 270.6, 31)
    return msgspec.structs.replace(bar, **changes)


def bars(
    *content: Bar,
    symbol: str = "AAPL",
    source: BarSource = BarSource.STREAM,
    adjusted: bool = False,
    at: datetime = NOON,
    complete: tuple[date, date] | None = None,
) -> ChronoxMessage:
    """Return the message of bars."""
    return bars_message(Bars(symbol, source, list(content), adjusted, complete), at)


class BarsOnLake:
    """Stores batches in a lake as the importer does, with sequence numbers in the order of the calls."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.position = FeedPosition(CREATED_AT, 0, 0)
        self._sequence = 0

    def batch(self, *messages: ChronoxMessage) -> Batch:
        """Return the next messages of the stream as a batch."""
        return self.batch_of((message.subject, bar_messages.encode(message)) for message in messages)

    def batch_of(self, sent: Iterable[tuple[str, bytes]]) -> Batch:
        """Return the next messages of the stream, by subject and bytes."""
        messages = []
        for subject, data in sent:
            self._sequence += 1
            messages.append(
                StreamMessage(self._sequence, Msg(cast("Client", None), subject=subject, data=data))
            )
        return Batch(
            StreamFound(subjects.CHRONOX, CREATED_AT, self._sequence), tuple(messages), self._sequence
        )

    def store(self, batch: Batch) -> BarCounts:
        """Store a batch."""
        counts = store_bars(self.lake, batch, self.position, clock=lambda: NOON)
        sequence = max(self.position.sequence, batch.last_sequence)
        self.position = replace(self.position, sequence=sequence)
        return counts

    def put(self, *messages: ChronoxMessage) -> BarCounts:
        """Store messages as one batch."""
        return self.store(self.batch(*messages))
