"""Follows FEED once for all readers of live snapshots; one that comes back reads from FEED what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

import structlog

from services.intake.errors import NotReady
from services.intake.live.events import EventFilter, LiveEvent
from services.intake.live.feed_ring import Closed, Cursor, FeedRing
from services.intake.live.latest import LatestSnapshots
from services.intake.live.readers import Readers
from services.intake.state.broker_link import BrokerLink
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.feeds.live_messages import LiveSnapshot, decode
from shared.bus.follower import Followed, follow
from shared.bus.storage.stored_messages import Page, read_page
from shared.errors import BrokerUnavailable, MalformedMessage

NEWEST: Final = 2000
"""How many of FEED's newest messages are read at the start: readers may have missed them, and ``/gex/latest``
is made of them."""
_PAGE_MESSAGES: Final = 64
_PAGE_BYTES: Final = 64 * 1024
_PAGES_AT_ONCE: Final = 8
_RETRY_S: Final = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Gap:
    """Events that a reader asked for and that FEED does not hold."""

    after: int
    """The id that the reader named."""
    first: int
    """Where its events begin instead."""

    @property
    def message(self) -> str:
        """What happened, in words."""
        return (
            f"the events after {self.after} are not all there any more: FEED is kept for 48 hours, less when "
            f"it is full, or was created again; the events begin at {self.first}"
        )


class FeedHub:
    """The events of FEED: the newest ones in memory for readers that keep up, all of them for others.

    Args:
        link: the broker, if it is there.
        max_bytes: of the events in memory.
        readers: counts those of all streams.
        latest: gets every snapshot.
    """

    def __init__(self, link: BrokerLink, max_bytes: int, readers: Readers, latest: LatestSnapshots) -> None:
        self._link = link
        self._max_bytes = max_bytes
        self._latest = latest
        self._pages = asyncio.Semaphore(_PAGES_AT_ONCE)
        self._has_logged = False
        self.readers: Final = readers
        self.ring = FeedRing(max_bytes)
        self.is_caught_up = False
        """Whether what FEED held at the start has been read."""
        self.stopping: Final = asyncio.Event()
        """Set when the service stops: readers end."""

    async def follow(self, bus: Bus) -> None:
        """Read FEED without end."""
        async for item in follow(bus, subjects.FEED, subjects.ALL_LIVE_SNAPSHOTS, NEWEST):
            if item.data is None:
                self.ring.cover(item.sequence + 1)
                self.is_caught_up = True
                continue
            if item.sequence <= self.ring.last_sequence:
                self._start_over()
            event = self._read(item)
            if event is not None:
                self.ring.append(event)

    def stop(self) -> None:
        """End all readers, and take no more."""
        self.stopping.set()
        self.ring.close()

    def require(self) -> None:
        """Check that a reader may come.

        Raises:
            NotReady: FEED is not read yet, the service stops, or there are too many readers.
        """
        if self.stopping.is_set():
            raise NotReady("stopping", "intake stops: connect again")
        if not self.is_caught_up:
            raise NotReady("feed", "the stream of live snapshots is not read yet; try again", 1)
        self.readers.require_room()

    async def start_of(self, last_event_id: int | None) -> tuple[int, Gap | None]:
        """Return after which place of FEED a reader's events begin, and what it misses.

        Args:
            last_event_id: the last event that the reader has; None for a new reader, which gets new events.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        if last_event_id is None:
            return self.ring.last_sequence, None
        if last_event_id <= self.ring.last_sequence and self.ring.position_after(last_event_id) is not None:
            return last_event_id, None
        bus = self._link.require()
        with translate_errors(f"read {subjects.FEED}"):
            state = (await bus.js.stream_info(subjects.FEED)).state
        if last_event_id > state.last_seq or last_event_id + 1 < state.first_seq:
            return max(0, state.first_seq - 1), Gap(last_event_id, state.first_seq)
        return last_event_id, None

    async def events(self, wanted: EventFilter, after: int) -> AsyncGenerator[list[LiveEvent], None]:
        """Yield the events after a place of FEED in order, several at a time, without end.

        Raises:
            CutOff: the reader does not keep up.
            Closed: the service stops, or FEED was created again.
        """
        ring = self.ring
        with self.readers.one_more():
            while (position := ring.position_after(after)) is None:
                if ring.is_closed:
                    raise Closed
                known = ring.last_sequence
                page = await self._read_page(wanted, after + 1)
                found = [event for each in page.messages if (event := self._read(each, is_new=False))]
                if page.messages:
                    after = page.messages[-1].sequence
                if not page.pending:
                    after = max(after, known)
                if matching := [event for event in found if wanted.matches(event)]:
                    yield matching
            cursor = Cursor(ring, wanted, position, after)
            while True:
                yield await cursor.next_events()

    async def _read_page(self, wanted: EventFilter, start: int) -> Page:
        while True:
            try:
                async with self._pages:
                    return await read_page(
                        self._link.require(),
                        subjects.FEED,
                        wanted.subject,
                        start,
                        max_messages=_PAGE_MESSAGES,
                        max_bytes=_PAGE_BYTES,
                    )
            except BrokerUnavailable as error:
                log.debug("page_not_read", error=str(error))
                if self.ring.is_closed:
                    raise Closed from error
                await asyncio.sleep(_RETRY_S)

    def _read(self, item: Followed, *, is_new: bool = True) -> LiveEvent | None:
        try:
            message = decode(item.subject, item.data or b"")
        except MalformedMessage as error:
            if not self._has_logged:  # a later version may have published many
                log.warning("live_message_unreadable", sequence=item.sequence, error=str(error))
            self._has_logged = True
            return None
        if not isinstance(message, LiveSnapshot):
            return None
        if is_new:
            self._latest.add(item.sequence, message)
        return LiveEvent(item.sequence, message)

    def _start_over(self) -> None:
        """FEED was created again: ids start over, so every reader comes again."""
        self.ring.close()
        self.ring = FeedRing(self._max_bytes)
