"""The newest events of FEED in memory, bounded in bytes, and the readers that wait for the next."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from enum import StrEnum
from typing import Final

from services.intake.live.events import EventFilter, LiveEvent

WAKE_INTERVAL_S: Final = 0.01
"""How often waiting readers are woken at most: more events come together then."""
_MAX_CHUNK_BYTES: Final = 64 * 1024


class CutOffReason(StrEnum):
    """Why a reader is cut off."""

    BEHIND = "behind"
    """It reads more slowly than events come: what it has to read next is no longer in memory."""
    STALLED = "stalled"
    """It does not read at all."""


class CutOff(Exception):
    """A reader is cut off; it may come again with the id of the last event that it has.

    Args:
        reason: why.
    """

    def __init__(self, reason: CutOffReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Closed(Exception):
    """There will be no more events: the service stops, or the stream was created again."""


class FeedRing:
    """Events in the order of FEED, each under a position that counts them from the start.

    Args:
        max_bytes: what its events may take together; the oldest go first.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        self._events: dict[int, LiveEvent] = {}
        self._bytes = 0
        self._covered_from: int | None = None
        self._waiting: set[Cursor] = set()
        self._due: list[Cursor] = []
        self._woken_at = 0.0
        self.first = 0
        """The position of the oldest event."""
        self.end = 0
        """The position of the next event."""
        self.last_sequence = 0
        """Where in FEED the newest event is, or was."""
        self.is_closed = False

    def cover(self, sequence: int) -> None:
        """Note that all events at or after a place of FEED will come."""
        if self._covered_from is None:
            self._covered_from = sequence
            self.last_sequence = max(self.last_sequence, sequence - 1)

    def append(self, event: LiveEvent) -> None:
        """Add the next event, and wake the readers that wait for it."""
        self.cover(event.sequence)
        self._events[self.end] = event
        self.end += 1
        self.last_sequence = event.sequence
        self._bytes += event.size_bytes
        while self._bytes > self._max_bytes and self.first < self.end - 1:
            self._drop_oldest()
        for cursor in tuple(self._waiting):
            if cursor.wanted.matches(event):
                self._waiting.remove(cursor)
                self._due.append(cursor)
                self._wake_soon()
            else:
                cursor.position = self.end

    def close(self) -> None:
        """End all readers."""
        self.is_closed = True
        self._due += self._waiting
        self._waiting.clear()
        self._wake()

    def get(self, position: int) -> LiveEvent:
        """Return an event."""
        return self._events[position]

    def position_after(self, sequence: int) -> int | None:
        """Return the position of the first event after a place of FEED; None if it is no longer here."""
        if self._covered_from is None or sequence + 1 < self._covered_from:
            return None
        positions = range(self.first, self.end)
        return self.first + bisect_right(
            positions, sequence, key=lambda position: self._events[position].sequence
        )

    def wait(self, cursor: Cursor) -> None:
        """Wake a reader at the next event that it wants."""
        self._waiting.add(cursor)

    def forget(self, cursor: Cursor) -> None:
        """Do not wake a reader any more."""
        self._waiting.discard(cursor)

    def _drop_oldest(self) -> None:
        oldest = self._events.pop(self.first)
        self.first += 1
        self._bytes -= oldest.size_bytes
        self._covered_from = oldest.sequence + 1

    def _wake_soon(self) -> None:
        if len(self._due) > 1:
            return  # the wake-up of the first is under way
        loop = asyncio.get_running_loop()
        loop.call_at(self._woken_at + WAKE_INTERVAL_S, self._wake)

    def _wake(self) -> None:
        due, self._due = self._due, []
        self._woken_at = asyncio.get_running_loop().time() if due else self._woken_at
        for cursor in due:
            cursor.wake()


class Cursor:
    """A reader's place in the ring.

    Args:
        ring: the events.
        wanted: which of them.
        position: of the first one that it may read.
        after: events up to this place of FEED are left out: the reader has them.
    """

    def __init__(self, ring: FeedRing, wanted: EventFilter, position: int, after: int) -> None:
        self.wanted: Final = wanted
        self.position = position
        self._ring: Final = ring
        self._after: Final = after
        self._woken: asyncio.Future[None] | None = None

    async def next_events(self) -> list[LiveEvent]:
        """Return the next events that the reader wants, at least one, as soon as there are some.

        Raises:
            CutOff: they are no longer here.
            Closed: there will be none.
        """
        while not (found := self._take()):
            if self._ring.is_closed:
                raise Closed
            self._woken = asyncio.get_running_loop().create_future()
            self._ring.wait(self)
            try:
                await self._woken
            finally:
                self._ring.forget(self)
        return found

    def wake(self) -> None:
        """Have ``next_events`` look again."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _take(self) -> list[LiveEvent]:
        if self.position < self._ring.first:
            raise CutOff(CutOffReason.BEHIND)
        found: list[LiveEvent] = []
        size = 0
        while self.position < self._ring.end and size < _MAX_CHUNK_BYTES:
            event = self._ring.get(self.position)
            self.position += 1
            if event.sequence > self._after and self.wanted.matches(event):
                found.append(event)
                size += len(event.json)
        return found
