"""Consume CHRONOX into the lake."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import Final

import duckdb
import structlog

from services.importer.bars.load import load_missing_days
from services.importer.bars.store import BarCounts, store_bars
from services.importer.errors import trouble
from services.importer.feeds import position
from services.importer.feeds.position import FeedPosition
from services.importer.feeds.retention import keep_room
from services.importer.lake.database import Lake
from services.importer.lake.writer_thread import WriterThread
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer.batch import Batch, BatchLimits, StreamFound
from shared.bus.consumer.batches import BatchConsumer
from shared.process.failpoints import failpoint

LIMITS: Final = BatchLimits(messages=5000, wait_s=0.25)
_LOOK_S: Final = 2.0
_REPORT_EVERY_S: Final = 60.0

log = structlog.get_logger(__name__)


class BarStorage:
    """Stores the messages of CHRONOX; one at a time for a lake.

    Args:
        bus: the connection.
        lake: where.
    """

    def __init__(self, bus: Bus, lake: Lake) -> None:
        self._bus = bus
        self._lake = lake
        self._thread = WriterThread("bars")
        self._position: FeedPosition | None = None
        """The last that is known: a database that was rebuilt has none, and its numbers must not repeat."""
        self._since_report = BarCounts()
        self._reported_at = time.monotonic()
        self.consumer = BatchConsumer(
            bus,
            subjects.CHRONOX,
            subjects.FEED_CONSUMER,
            position=self._find_position,
            store=self._store,
            limits=LIMITS,
            on_acknowledged=lambda: failpoint("importer.bars_acknowledged"),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Store messages until ``stop`` is set, and the batch in hand."""
        await self.consumer.run(stop)

    async def keep_room(self) -> None:
        """Remove messages that the lake has from a stream that is nearly full, forever."""
        await keep_room(self._bus, lambda: self._position, _LOOK_S, subjects.CHRONOX)

    async def _find_position(self, stream: StreamFound) -> int:
        self._position = await self._thread.run(partial(self._read_position, stream))
        return self._position.sequence

    def _read_position(self, stream: StreamFound) -> FeedPosition:
        try:
            load_missing_days(self._lake)
            with self._lake.reading() as connection:
                held = position.read(connection, stream.name)
        except duckdb.Error as error:
            raise trouble("reading the position in CHRONOX", error) from error
        if held is None:
            base = self._position.number if self._position else 0
            return FeedPosition(stream.created_at, 0, base)
        found = held.of_stream(stream.created_at, stream.last_sequence)
        if found is not held:
            log.warning("stream_started_over", stream=stream.name, last_seq=stream.last_sequence)
        return found

    async def _store(self, batch: Batch) -> None:
        assert self._position is not None  # noqa: S101 (the consumer asks for it first)
        work = partial(store_bars, self._lake, batch, self._position, clock=self._bus.clock)
        counts = await self._thread.run(work)
        self._position = replace(self._position, sequence=batch.last_sequence)
        self._report(counts)

    def _report(self, counts: BarCounts) -> None:
        """Log what was stored, once a minute while there is something."""
        self._since_report = self._since_report.plus(counts)
        if time.monotonic() < self._reported_at + _REPORT_EVERY_S:
            return
        total, self._since_report, self._reported_at = self._since_report, BarCounts(), time.monotonic()
        log.info(
            "bars_stored",
            messages=total.messages,
            bars=total.bars,
            snapshots=total.snapshots,
            pending=self.consumer.pending,
        )
