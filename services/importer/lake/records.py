"""Copies of the partitions' records in Parquet: queries run in processes that cannot open the database.

The copy is put in place between the commit and the completion of an import, as the Parquet file of the rows
is, so a partition that is published has both.
"""

from __future__ import annotations

import duckdb
import structlog

from services.importer.formats import format_of
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.parquet import hidden_parquet
from services.importer.lake.parquet_metadata import metadata_of
from services.importer.lake.partition_tables import records_query
from services.importer.lake.partitions import PartitionRow
from shared.paths import LakePaths
from shared.process.durable_files import rename_durably

log = structlog.get_logger(__name__)


def place_records(connection: duckdb.DuckDBPyConnection, paths: LakePaths, row: PartitionRow) -> None:
    """Copy a partition's records from their table, in place of an older copy.

    Raises:
        StorageTrouble: the file on disk is not what was written.
    """
    partition = row.partition
    final = paths.records(partition, format_of(partition.endpoint).table)
    live = live_partitions.read(connection, partition)
    metadata = metadata_of(partition, row.job_id, row.checksum, live)
    with hidden_parquet(connection, records_query(partition), final, row.job_id, metadata) as file:
        rename_durably(file.path, final)


def place_missing_records(lake: Lake) -> int:
    """Copy the records of published partitions that have no copy, and return how many there were.

    A lake that an earlier version has written has none.

    Raises:
        StorageTrouble: a copy cannot be written.
    """
    with lake.reading() as connection:
        rows = partitions.published(connection)
    missing = [
        row
        for row in rows
        if not lake.paths.records(row.partition, format_of(row.partition.endpoint).table).exists()
    ]
    for row in missing:
        with lake.writing() as connection:
            place_records(connection, lake.paths, row)
    if missing:
        log.info("records_copied", partitions=len(missing))
    return len(missing)
