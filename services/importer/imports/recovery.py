"""After a crash: finish imports that were only committed, and remove temporary files."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from services.importer.errors import DiskFull, StorageTrouble
from services.importer.imports.replace import complete
from services.importer.lake import partitions
from services.importer.lake.database import Lake
from services.importer.lake.live import partitions as live_partitions
from services.importer.lake.parquet import hidden_parquet, is_present, remove_partials
from services.importer.lake.parquet_metadata import metadata_of
from services.importer.lake.partition_tables import export_query
from services.importer.lake.partitions import PartitionRow
from services.importer.lake.records import place_records
from services.importer.lake.scratch import remove_scratch_folders
from services.importer.ledger import table
from services.importer.ledger.events import imported
from services.importer.ledger.notes import note_completed
from shared.bus.connection import Bus
from shared.process.durable_files import rename_durably

log = structlog.get_logger(__name__)


async def finish_committed(bus: Bus, lake: Lake) -> dict[tuple[str, int], DiskFull]:
    """Put Parquet files in place whose rows are committed already, and publish the events.

    The commands may be gone from the stream, so the event is published before the partition is complete. A
    partition whose file cannot be put in place now is skipped until the next time, and does not delay
    others.

    Returns:
        By job id and generation, those for whose files there is no space.

    Raises:
        DiskFull: there is no space to record that a file is in place.
        BrokerUnavailable: the event cannot be published; the next call does.
    """
    without_space: dict[tuple[str, int], DiskFull] = {}
    for waiting in await asyncio.to_thread(_unpublished, lake):
        try:
            row = await asyncio.to_thread(place, lake, waiting)
        except StorageTrouble as error:
            log.warning("partition_not_published", partition=str(waiting.partition), error=str(error))
            if isinstance(error, DiskFull):
                without_space[waiting.job_id, waiting.generation] = error
            continue
        await _publish_event(bus, lake, row)
        await asyncio.to_thread(_complete, lake, replace(row, updated_at=bus.clock()))
        log.info("committed_partition_published", partition=str(row.partition))
    return without_space


def sweep(lake: Lake) -> None:
    """Remove the hidden files and scratch folders of a process that died.

    Called before anything is written. Only one importer at a time has the lake open, so none of them is in
    use.
    """
    paths = lake.paths
    roots = (
        *(paths.parquet_root, paths.webhooks_root, paths.bars_root, paths.records_root),
        *(paths.chains_root, paths.archived_jobs_root),
    )
    files = sum(map(remove_partials, roots))
    folders = remove_scratch_folders(paths.scratch)
    if files or folders:
        log.info("temporary_files_removed", files=files, folders=folders)


def _unpublished(lake: Lake) -> list[PartitionRow]:
    with lake.reading() as connection:
        return partitions.unpublished(connection)


def place(lake: Lake, row: PartitionRow) -> PartitionRow:
    """Put a partition's Parquet file in place, from the tables if need be, and return its row.

    Raises:
        StorageTrouble: that is not possible now.
    """
    final = lake.paths.parquet(row.partition)
    with lake.writing() as connection:
        place_records(connection, lake.paths, row)
        if is_present(final, row.parquet_checksum):
            return row
        live = live_partitions.read(connection, row.partition)
        metadata = metadata_of(row.partition, row.job_id, row.checksum, live)
        with hidden_parquet(connection, export_query(row.partition), final, row.job_id, metadata) as file:
            rename_durably(file.path, final)
        return replace(row, parquet_bytes=file.size_bytes, parquet_checksum=file.sha256)


async def _publish_event(bus: Bus, lake: Lake, row: PartitionRow) -> None:
    with lake.reading() as connection:
        known = table.read_one(connection, row.job_id)
    if known is not None and known.generation == row.generation:
        await bus.publish_event(imported(known.job, row))


def _complete(lake: Lake, row: PartitionRow) -> None:
    with lake.writing() as connection:
        complete(connection, row, note_completed)
    lake.refresh_parquet_view()
