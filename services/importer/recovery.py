"""At start: finish what was committed only, and sweep what a dead process left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import duckdb
import structlog

from services.importer import partitions_duckdb as partitions
from services.importer.lake_duckdb import Lake
from services.importer.parquet_duckdb import hidden_parquet, is_there, sweep
from services.importer.partitions_duckdb import PartitionRow
from services.importer.replacement_duckdb import complete, export_query
from shared.durable_files import publish

log = structlog.get_logger(__name__)


def recover(lake: Lake, clock: Callable[[], datetime]) -> list[PartitionRow]:
    """Put the Parquet file of every committed partition in place; return those that lacked it.

    Raises:
        StorageTrouble: the disk is full or fails; it can be tried again.
    """
    swept = sweep(lake.paths.parquet_root)
    if swept:
        log.info("temporary_files_removed", files=swept)
    return publish_committed(lake, clock)


def publish_committed(lake: Lake, clock: Callable[[], datetime]) -> list[PartitionRow]:
    """Write the Parquet file of every partition whose rows are committed without it; return those partitions.

    Raises:
        StorageTrouble: the disk is full or fails; it can be tried again.
    """
    with lake.reading() as connection:
        waiting = partitions.unpublished(connection)
    if not waiting:
        return []
    with lake.writing() as connection:
        found = [_publish(lake, connection, row, clock) for row in waiting]
    lake.refresh_parquet_view()
    log.info("committed_partitions_published", partitions=[str(row.partition) for row in found])
    return found


def _publish(
    lake: Lake, connection: duckdb.DuckDBPyConnection, row: PartitionRow, clock: Callable[[], datetime]
) -> PartitionRow:
    final = lake.paths.parquet(row.partition)
    if not is_there(final, row.parquet_checksum):
        with hidden_parquet(connection, export_query(row.partition), final, row.job_id) as file:
            publish(file.path, final)
        row = replace(row, parquet_bytes=file.size_bytes, parquet_checksum=file.sha256)
    return complete(connection, row, clock())
