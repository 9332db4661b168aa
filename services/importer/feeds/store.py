"""Store a batch of FEED: its rows and the position in the stream, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import duckdb

from services.importer.feeds import position
from services.importer.feeds.chains import write_chains
from services.importer.feeds.merge import Key, MergedSnapshot, merge, partitions_of
from services.importer.feeds.messages import day_of, decoded
from services.importer.feeds.position import FeedPosition
from services.importer.feeds.snapshots import SNAPSHOTS, STRIKES, write_snapshots
from services.importer.feeds.webhooks.rows import write_webhooks
from services.importer.feeds.webhooks.tables import WebhookRows, rows_of
from services.importer.lake.database import Lake
from services.importer.lake.live.stored_batch import ChainFile, LiveHour, StoredBatch
from services.importer.lake.statements import transaction
from shared.bus.consumer.batch import Batch, MessageFailed, OrderLost, StreamMessage
from shared.bus.feeds.chain_messages import LiveChain
from shared.bus.feeds.live_messages import LiveSnapshot, LiveWebhook
from shared.errors import MalformedMessage
from shared.gexbot.partition import Partition
from shared.process.failpoints import failpoint

_Content: TypeAlias = LiveSnapshot | WebhookRows | LiveChain

OnStored = Callable[[duckdb.DuckDBPyConnection, StoredBatch], None]
"""Called after the commit, on the connection that has the temporary tables."""


@dataclass(frozen=True)
class StoredCounts:
    """What a batch held, and what it changed."""

    messages: int = 0
    snapshots: int = 0
    """Rows of ``gex_snapshots`` that were written."""
    webhooks: int = 0
    """Rows of ``universal_webhooks`` that were written."""
    chains: int = 0
    """Rows of ``chain_snapshots`` that were written."""

    def plus(self, other: StoredCounts) -> StoredCounts:
        """Return the sum of two batches."""
        return StoredCounts(
            self.messages + other.messages,
            self.snapshots + other.snapshots,
            self.webhooks + other.webhooks,
            self.chains + other.chains,
        )


def store_batch(
    lake: Lake,
    batch: Batch,
    found: FeedPosition,
    *,
    clock: Callable[[], datetime],
    on_stored: OnStored,
    a_file_each: bool = False,
) -> StoredCounts:
    """Store a batch; messages that are stored already are left out.

    Args:
        lake: where.
        batch: the messages.
        found: the position in the stream when its consumer was created.
        clock: returns the time.
        on_stored: gets the rows after the commit.
        a_file_each: whether each snapshot of an option chain gets a Parquet file.

    Raises:
        MessageFailed: a message cannot be stored; nothing was changed.
        OrderLost: the database has lost its position.
        StorageTrouble: the disk is full or fails, or an import changed the same rows; nothing was changed.
    """
    arrived = [(message.sequence, _content(message)) for message in batch.messages]
    involved = partitions_of(_snapshots(content for _, content in arrived))
    with lake.live_writing(involved) as connection:
        with transaction(connection):
            held = position.read(connection, batch.stream.name)
            if held is None and found.sequence:  # the database was quarantined, and this is a new one
                raise OrderLost(batch.stream.name, "the database has no position in it")
            current = held if held and held.is_of_same_stream(found) else found
            if batch.last_sequence <= current.sequence:
                return StoredCounts()
            new = replace(current, sequence=batch.last_sequence)
            news = [content for sequence, content in arrived if sequence > current.sequence]
            stored, counts = _write(connection, news, new.number, a_file_each=a_file_each)
            position.write(connection, batch.stream.name, new, clock())
            failpoint("importer.live_written")
        failpoint("importer.live_committed")
        if stored.tables:
            on_stored(connection, stored)
    return counts


def _write(
    connection: duckdb.DuckDBPyConnection, contents: Sequence[_Content], number: int, *, a_file_each: bool
) -> tuple[StoredBatch, StoredCounts]:
    partitions: frozenset[Partition] = frozenset()
    hours: frozenset[LiveHour] = frozenset()
    files: frozenset[ChainFile] = frozenset()
    tables: dict[str, str] = {}
    if snapshots := _snapshots(contents):
        partitions = write_snapshots(connection, snapshots, number)
        tables |= {"gex_snapshots": SNAPSHOTS, "gex_strikes": STRIKES}
    if webhooks := [content for content in contents if isinstance(content, WebhookRows)]:
        written = write_webhooks(connection, webhooks, number)
        hours = written.hours
        tables |= written.tables
    if chains := [content for content in contents if isinstance(content, LiveChain)]:
        stored = write_chains(connection, chains, number, a_file_each=a_file_each)
        files = stored.files
        tables |= dict(stored.tables)
    rows = {table: _rows(connection, temporary) for table, temporary in tables.items()}
    changed = {table: temporary for table, temporary in tables.items() if rows[table]}
    of_tables = ("gex_snapshots", "universal_webhooks", "chain_snapshots")
    counts = StoredCounts(len(contents), *(rows.get(table, 0) for table in of_tables))
    return StoredBatch(number, partitions, hours, changed, files), counts


def _snapshots(contents: Iterable[_Content]) -> dict[Key, MergedSnapshot]:
    return merge(
        (content.payload, day_of(content.payload))
        for content in contents
        if isinstance(content, LiveSnapshot)
    )


def _content(message: StreamMessage) -> _Content:
    try:
        content = decoded(message.subject, message.data)
        return rows_of(content) if isinstance(content, LiveWebhook) else content
    except MalformedMessage as error:
        raise MessageFailed(message, error) from error


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 (ours)
    return int(count)
