"""Replayed snapshots: for readers that ask for them, marked, in memory only, and never stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from services.intake.errors import NotReady
from services.intake.live.events import EventFilter, LiveEvent, ReplayEvent
from services.intake.live.feed_ring import Cursor, CutOff, CutOffReason, FeedRing
from services.intake.live.readers import Readers
from shared.bus.feeds.live_messages import Snapshot

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of the replayed events in memory: a reader that falls behind them is cut off."""


class ReplayFeed:
    """What was posted for stream readers alone.

    Args:
        readers: counts those of all streams.
    """

    def __init__(self, readers: Readers) -> None:
        self._ring = FeedRing(MAX_BYTES)
        self._ring.cover(1)
        self.readers: Final = readers
        self.count = 0
        """How many readers follow replays."""
        self.stopping: Final = asyncio.Event()
        """Set when the service stops: readers end."""

    @property
    def place(self) -> int:
        """Where a new reader begins."""
        return self._ring.last_sequence

    def publish(self, snapshot: Snapshot, received_at: datetime) -> None:
        """Hand a snapshot to the readers that are there."""
        self._ring.append(ReplayEvent(self._ring.last_sequence + 1, snapshot, received_at))

    def require(self) -> None:
        """Check that a reader may come.

        Raises:
            NotReady: the service stops, or there are too many readers.
        """
        if self.stopping.is_set():
            raise NotReady("stopping", "intake stops: connect again")
        self.readers.require_room()

    async def events(self, wanted: EventFilter, after: int) -> AsyncGenerator[list[LiveEvent], None]:
        """Yield the events after a place in order, several at a time, without end.

        Raises:
            CutOff: the reader does not keep up.
            Closed: the service stops.
        """
        with self.readers.one_more(), self._counted():
            position = self._ring.position_after(after)
            if position is None:
                raise CutOff(CutOffReason.BEHIND)
            cursor = Cursor(self._ring, wanted, position, after)
            while True:
                yield await cursor.next_events()

    def stop(self) -> None:
        """End all readers, and take no more."""
        self.stopping.set()
        self._ring.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
