"""Batches of FEED without a broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import duckdb
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.importer.feeds.position import FeedPosition
from services.importer.feeds.store import StoredCounts, store_batch
from services.importer.lake.database import Lake
from services.importer.lake.live.stored_batch import StoredBatch
from shared.bus import subjects
from shared.bus.consumer.batch import Batch, StreamFound, StreamMessage
from shared.bus.feeds import live_messages
from shared.bus.feeds.chain_messages import Chain, ChainStrike
from shared.bus.feeds.live_messages import LiveMessage, Snapshot, Strike, Webhook
from tests.support.values import NOON

CREATED_AT = datetime(2025, 11, 14, 9, tzinfo=UTC)
OPEN_MS = 1763130600_000
"""09:30 in New York on 2025-11-14."""


def a_snapshot(second: int = 0, **changes: Any) -> Snapshot:
    """Return a snapshot of the ``second``-th second after the open."""
    values: dict[str, Any] = {
        "ticker": "NQ_NDX",
        "endpoint": "gex_zero",
        "timestamp": OPEN_MS + 1000 * second,
        "spot_price": 5000.25,
        "zero_gamma": 4990.5,
        "strikes": [Strike(5000.0, 1.5, 2.5, [1, 2.5]), Strike(5005.0, -1.5, None, [])],
        **changes,
    }
    return Snapshot(**values)


def a_webhook(number: int = 0, **changes: Any) -> Webhook:
    """Return a webhook of an unknown topic."""
    return Webhook(topic="news", event="new_msg", payload={"number": number}, **changes)


def a_chain(number: int = 0, second: int = 0, **changes: Any) -> Chain:
    """Return the ``number``-th option chain, of the ``second``-th second after the open, with two strikes."""
    values: dict[str, Any] = {
        "snapshot_id": UUID(int=number),
        "market_symbol": "SPX",
        "timestamp": OPEN_MS + 1000 * second,
        "data_quality_score": 0.5,
        "strikes": [
            ChainStrike(6730.0, 10, 20, 1, 2, 0.5, 0.75, 1.5, 1.75, 0.25, -0.5, -1.25, 2.0),
            ChainStrike(6735.0, 30, 40),
        ],
        **changes,
    }
    return Chain(**values)


def message_of(content: Snapshot | Webhook | Chain, at: datetime = NOON) -> LiveMessage:
    """Return the message in FEED of a payload that arrived at a time."""
    if isinstance(content, Chain):
        return live_messages.live_chain(content, at)
    if isinstance(content, Snapshot):
        return live_messages.live_snapshot(content, at)
    return live_messages.live_webhook(content, at)


def stream_message(sequence: int, data: bytes, subject: str = "gex.feed.gex.NQ_NDX") -> StreamMessage:
    """Return a message of FEED as it is read."""
    return StreamMessage(sequence, Msg(cast("Client", None), subject=subject, data=data))


class FeedOnLake:
    """Stores batches in a lake as the importer does, with sequence numbers in the order of the calls.

    Args:
        lake: where.
        a_file_each: whether each snapshot of an option chain gets a Parquet file.
        readable: whether queries read the rows before they are exported.
    """

    def __init__(self, lake: Lake, *, a_file_each: bool = False, readable: bool = False) -> None:
        self.lake = lake
        self.a_file_each = a_file_each
        self.readable = readable
        self.position = FeedPosition(CREATED_AT, 0, 0)
        self.stored: list[StoredBatch] = []
        self.rows: list[dict[str, list[tuple[Any, ...]]]] = []
        """The rows of each batch's temporary tables, by the lake's table."""
        self._sequence = 0

    def batch(self, *contents: Snapshot | Webhook | Chain | LiveMessage) -> Batch:
        """Return the next messages of the stream as a batch."""
        messages = []
        for content in contents:
            message = message_of(content) if isinstance(content, Snapshot | Webhook | Chain) else content
            self._sequence += 1
            data = live_messages.encode(message)
            messages.append(stream_message(self._sequence, data, message.subject))
        found = StreamFound(subjects.FEED, CREATED_AT, self._sequence)
        return Batch(found, tuple(messages), self._sequence)

    def store(self, batch: Batch) -> StoredCounts:
        """Store a batch."""
        counts = store_batch(
            self.lake,
            batch,
            self.position,
            clock=lambda: NOON,
            on_stored=self._note,
            a_file_each=self.a_file_each,
        )
        sequence = max(self.position.sequence, batch.last_sequence)
        self.position = replace(self.position, sequence=sequence)
        return counts

    def put(self, *contents: Snapshot | Webhook | Chain | LiveMessage) -> StoredCounts:
        """Store messages as one batch."""
        return self.store(self.batch(*contents))

    def _note(self, connection: duckdb.DuckDBPyConnection, stored: StoredBatch) -> None:
        if self.readable:
            self.lake.live_files.append(connection, stored)
        self.stored.append(stored)
        self.rows.append(
            {
                table: connection.execute(f"FROM {temporary} ORDER BY ALL").fetchall()
                for table, temporary in stored.tables.items()
            }
        )


def split(batch: Batch, *sizes: int) -> Sequence[Batch]:
    """Return a batch in parts of these sizes, and the rest."""
    parts, rest = [], batch
    for size in sizes:
        if 0 < size < len(rest.messages):
            first, others = rest.messages[:size], rest.messages[size:]
            parts.append(replace(rest, messages=first, last_sequence=first[-1].sequence))
            rest = replace(rest, messages=others)
    return [*parts, rest]
