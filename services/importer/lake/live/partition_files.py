"""Put the Parquet files of partitions, hours and chains with live rows in place."""

from __future__ import annotations

import duckdb

from services.importer.formats import format_of
from services.importer.lake import partitions
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.live.chains import chains_query
from services.importer.lake.live.stored_batch import ChainFile, LiveHour
from services.importer.lake.live.units import hour_query
from services.importer.lake.parquet import ParquetFile, hidden_parquet
from services.importer.lake.parquet_metadata import (
    LIVE_JOB,
    metadata_of,
    metadata_of_chains,
    metadata_of_hour,
)
from services.importer.lake.partition_tables import export_query, records_query
from shared.gexbot.partition import Partition
from shared.paths import LakePaths
from shared.process.durable_files import rename_durably
from shared.process.failpoints import failpoint

_OWNER = "live"


def place_partition(
    connection: duckdb.DuckDBPyConnection, paths: LakePaths, partition: Partition
) -> ParquetFile:
    """Write a partition's Parquet file and the copy of its records, from the tables, in place of older ones.

    Raises:
        StorageTrouble: a file on disk is not what was written.
    """
    row = partitions.read(connection, partition)
    source = (row.job_id, row.checksum) if row else (LIVE_JOB, "")
    metadata = metadata_of(partition, *source, live_partitions.read(connection, partition))
    parquet = paths.parquet(partition)
    records = paths.records(partition, format_of(partition.endpoint).table)
    with hidden_parquet(connection, records_query(partition), records, _OWNER, metadata) as file:
        rename_durably(file.path, records)
    # The Parquet file is the last: where there is one, the views of queries expect records too.
    failpoint("importer.live_renamed")
    with hidden_parquet(connection, export_query(partition), parquet, _OWNER, metadata) as file:
        rename_durably(file.path, parquet)
    return file


def place_hour(connection: duckdb.DuckDBPyConnection, paths: LakePaths, hour: LiveHour) -> ParquetFile:
    """Write the Parquet file of an hour of webhooks from its table, in place of an older one.

    Raises:
        StorageTrouble: the file on disk is not what was written.
    """
    final = paths.webhooks(hour.table, hour.hour)
    metadata = metadata_of_hour(hour)
    with hidden_parquet(connection, hour_query(hour), final, _OWNER, metadata) as file:
        rename_durably(file.path, final)
    return file


def place_chains(
    connection: duckdb.DuckDBPyConnection, paths: LakePaths, chains: ChainFile, last: int
) -> ParquetFile:
    """Write the Parquet file of option chains from their tables, in place of an older one.

    Args:
        connection: the connection.
        paths: of the lake.
        chains: whose rows the file has.
        last: the number of the last batch that changed them.

    Raises:
        StorageTrouble: the file on disk is not what was written.
    """
    final = paths.chains(chains.symbol, chains.day, chains.timestamp)
    metadata = metadata_of_chains(chains, last)
    with hidden_parquet(connection, chains_query(chains), final, _OWNER, metadata) as file:
        rename_durably(file.path, final)
    return file
