"""At start: finish what was committed only, and sweep what a dead process left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import duckdb
import structlog

from services.importer import ledger_duckdb
from services.importer import partitions_duckdb as partitions
from services.importer.errors import StorageTrouble
from services.importer.facts import imported
from services.importer.lake_duckdb import Lake
from services.importer.parquet_duckdb import hidden_parquet, is_there, remove_partials
from services.importer.partitions_duckdb import PartitionRow
from services.importer.replacement_duckdb import complete, export_query
from shared.bus import Bus
from shared.durable_files import publish

log = structlog.get_logger(__name__)


async def finish_committed(bus: Bus, lake: Lake) -> None:
    """Publish what is committed only, and tell of it: the messages that asked for it may be long gone.

    Raises:
        BrokerUnavailable: it is published, but nobody could be told.
    """
    for row in await asyncio.to_thread(publish_committed, lake, bus.clock):
        with lake.reading() as connection:
            known = ledger_duckdb.read_one(connection, row.job_id)
        if known is not None and known.generation == row.generation:
            await bus.announce(imported(known.job, row))


def publish_committed(lake: Lake, clock: Callable[[], datetime]) -> list[PartitionRow]:
    """Write the Parquet file of every partition whose rows are committed without it; return those partitions.

    One that cannot be written now is left for the next time, and holds up nobody else.
    """
    with lake.reading() as connection:
        waiting = partitions.unpublished(connection)
    published = [row for row in (_publish_if_possible(lake, row, clock) for row in waiting) if row]
    if published:
        lake.refresh_parquet_view()
        log.info("committed_partitions_published", partitions=[str(row.partition) for row in published])
    return published


def sweep(lake: Lake) -> None:
    """Remove the hidden files that a dead process has left; called before anything is written."""
    if removed := remove_partials(lake.paths.parquet_root):
        log.info("temporary_files_removed", files=removed)


def _publish_if_possible(lake: Lake, row: PartitionRow, clock: Callable[[], datetime]) -> PartitionRow | None:
    try:
        with lake.writing() as connection:
            return _publish(lake, connection, row, clock)
    except StorageTrouble as error:
        log.warning("partition_not_published", partition=str(row.partition), error=str(error))
        return None


def _publish(
    lake: Lake, connection: duckdb.DuckDBPyConnection, row: PartitionRow, clock: Callable[[], datetime]
) -> PartitionRow:
    final = lake.paths.parquet(row.partition)
    if not is_there(final, row.parquet_checksum):
        with hidden_parquet(connection, export_query(row.partition), final, row.job_id) as file:
            publish(file.path, final)
        row = replace(row, parquet_bytes=file.size_bytes, parquet_checksum=file.sha256)
    return complete(connection, row, clock())
