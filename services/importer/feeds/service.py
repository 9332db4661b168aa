"""Consume FEED into the lake."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import Final

import duckdb
import structlog

from services.importer.errors import trouble
from services.importer.feeds import position
from services.importer.feeds.position import FeedPosition
from services.importer.feeds.retention import keep_room
from services.importer.feeds.store import OnStored, StoredCounts, store_batch
from services.importer.lake.database import Lake
from services.importer.lake.writer_thread import WriterThread
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer.batch import Batch, StreamFound
from shared.bus.consumer.batches import BatchConsumer
from shared.process.failpoints import failpoint

_REPORT_EVERY_S: Final = 60.0
_MICROSECOND_NS: Final = 1000

log = structlog.get_logger(__name__)


class FeedStorage:
    """Stores the messages of FEED; one at a time for a lake.

    Args:
        bus: the connection.
        lake: where.
        on_stored: gets the rows of each batch after its commit, on the thread that stored it.
        a_file_each: whether each snapshot of an option chain gets a Parquet file.
    """

    def __init__(
        self, bus: Bus, lake: Lake, on_stored: OnStored = lambda *_: None, *, a_file_each: bool = False
    ) -> None:
        self._bus = bus
        self._lake = lake
        self._on_stored = on_stored
        self._a_file_each = a_file_each
        self._thread = WriterThread("live")
        self._position: FeedPosition | None = None
        """The last that is known: a database that was rebuilt has none, and its numbers must not repeat."""
        self._since_report = StoredCounts()
        self._reported_at = time.monotonic()
        self.consumer = BatchConsumer(
            bus,
            subjects.FEED,
            subjects.FEED_CONSUMER,
            position=self._find_position,
            store=self._store,
            on_acknowledged=lambda: failpoint("importer.live_acknowledged"),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Store messages until ``stop`` is set, and the batch in hand."""
        await self.consumer.run(stop)

    async def keep_room(self) -> None:
        """Remove messages that the lake has from a stream that is nearly full, forever."""
        await keep_room(self._bus, lambda: self._position)

    async def _find_position(self, stream: StreamFound) -> int:
        found = await asyncio.to_thread(self._read_position, stream)
        log.debug("feed_position", sequence=found.sequence, base=found.base)
        self._position = found
        return found.sequence

    def _read_position(self, stream: StreamFound) -> FeedPosition:
        try:
            with self._lake.reading() as connection:
                held = position.read(connection, stream.name)
        except duckdb.Error as error:
            raise trouble("reading the position in FEED", error) from error
        if held is None:
            base = self._position.number if self._position else 0
            return FeedPosition(stream.created_at, 0, base)
        found = held.of_stream(stream.created_at, stream.last_sequence)
        if found is not held:
            log.warning("stream_started_over", stream=stream.name, last_seq=stream.last_sequence)
        return found

    async def _store(self, batch: Batch) -> None:
        began = time.monotonic()
        assert self._position is not None  # noqa: S101 (the consumer asks for it first)
        work = partial(
            store_batch,
            self._lake,
            batch,
            self._position,
            clock=self._bus.clock,
            on_stored=self._on_stored,
            a_file_each=self._a_file_each,
        )
        counts = await self._thread.run(work)
        self._position = replace(self._position, sequence=batch.last_sequence)
        log.debug(
            "batch_stored",
            messages=counts.messages,
            snapshots=counts.snapshots,
            webhooks=counts.webhooks,
            chains=counts.chains,
            sequence=batch.last_sequence,
            seconds=round(time.monotonic() - began, 6),
        )
        self._report(counts)

    def _report(self, counts: StoredCounts) -> None:
        """Log what was stored, once a minute while there is something."""
        self._since_report = self._since_report.plus(counts)
        if time.monotonic() < self._reported_at + _REPORT_EVERY_S:
            return
        total, self._since_report, self._reported_at = self._since_report, StoredCounts(), time.monotonic()
        log.info(
            "feed_stored",
            messages=total.messages,
            snapshots=total.snapshots,
            webhooks=total.webhooks,
            chains=total.chains,
            pending=self.consumer.pending,
        )
