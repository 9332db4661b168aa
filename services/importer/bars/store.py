"""Store a batch of CHRONOX: its rows and the position in the stream, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from services.importer.bars import complete_days, days
from services.importer.bars.merge import write_bars, write_snapshots
from services.importer.bars.rows import answers, bar_rows, days_of, decoded, snapshot_rows
from services.importer.feeds import position
from services.importer.feeds.position import FeedPosition
from services.importer.lake.database import Lake
from services.importer.lake.statements import transaction
from shared.bus.consumer.batch import Batch, MessageFailed, OrderLost, StreamMessage
from shared.bus.feeds.bar_messages import ChronoxMessage
from shared.errors import MalformedMessage
from shared.process.failpoints import failpoint


@dataclass(frozen=True)
class BarCounts:
    """What a batch held, and what it changed."""

    messages: int = 0
    bars: int = 0
    """Rows of ``ohlcv_1m`` that were written."""
    snapshots: int = 0
    """Rows of ``snapshots`` that were written."""

    def plus(self, other: BarCounts) -> BarCounts:
        """Return the sum of two batches."""
        return BarCounts(
            self.messages + other.messages, self.bars + other.bars, self.snapshots + other.snapshots
        )


def store_bars(lake: Lake, batch: Batch, found: FeedPosition, *, clock: Callable[[], datetime]) -> BarCounts:
    """Store a batch; messages that are stored already are left out.

    Args:
        lake: where.
        batch: the messages.
        found: the position in the stream when its consumer was created.
        clock: returns the time.

    Raises:
        MessageFailed: a message cannot be stored; nothing was changed.
        OrderLost: the database has lost its position.
        StorageTrouble: the disk is full or fails; nothing was changed.
    """
    arrived = [(message.sequence, _content(message)) for message in batch.messages]
    touched = days_of(content for _, content in arrived)
    with lake.live_writing(map(days.lock_of, touched)) as connection:
        with transaction(connection):
            held = position.read(connection, batch.stream.name)
            if held is None and found.sequence:  # the database was quarantined, and this is a new one
                raise OrderLost(batch.stream.name, "the database has no position in it")
            current = held if held and held.is_of_same_stream(found) else found
            if batch.last_sequence <= current.sequence:
                return BarCounts()
            new = replace(current, sequence=batch.last_sequence)
            news = [content for sequence, content in arrived if sequence > current.sequence]
            bars, snapshots = list(bar_rows(news)), snapshot_rows(news)
            changed = write_bars(connection, bars, new.number) if bars else {}
            if changed:
                days.mark_changed(connection, changed, new.number)
            complete_days.write(connection, answers(news), new.number)
            written = write_snapshots(connection, snapshots) if snapshots else 0
            position.write(connection, batch.stream.name, new, clock())
            failpoint("importer.bars_written")
        failpoint("importer.bars_committed")
    return BarCounts(len(news), sum(changed.values()), written)


def _content(message: StreamMessage) -> ChronoxMessage:
    try:
        return decoded(message.subject, message.data)
    except MalformedMessage as error:
        raise MessageFailed(message, error) from error
