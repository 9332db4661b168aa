"""After a crash: finish imports of flat files that were only committed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from services.importer.bars import days
from services.importer.bars.days import BarDay
from services.importer.bars.export import metadata_of_day, query_of_day
from services.importer.errors import StorageTrouble
from services.importer.flat_files import table
from services.importer.flat_files.replace import complete
from services.importer.flat_files.table import FlatFileRow, imported
from services.importer.lake.database import Lake
from services.importer.lake.parquet import hidden_parquet, is_present
from services.importer.ledger import table as ledger
from shared.bus.connection import Bus
from shared.process.durable_files import rename_durably

log = structlog.get_logger(__name__)


async def finish_flat_files(bus: Bus, lake: Lake) -> None:
    """Put the Parquet files of days in place whose rows are committed already, and publish the events.

    The commands may be gone from the stream, so the event is published before the import is complete. A file
    that cannot be put in place now is left for the next time.

    Raises:
        BrokerUnavailable: an event cannot be published; the next call does.
    """
    for waiting in await asyncio.to_thread(_unpublished, lake):
        try:
            row, day = await asyncio.to_thread(_place, lake, waiting)
        except StorageTrouble as error:
            log.warning("flat_file_not_published", trading_day=str(waiting.trading_day), error=str(error))
            continue
        with lake.reading() as connection:
            known = ledger.read_one(connection, row.job_id)
        if known is not None and known.generation == row.generation:
            await bus.publish_event(imported(known.job, row))
        await asyncio.to_thread(_complete, lake, replace(row, updated_at=bus.clock()), day)
        log.info("committed_flat_file_published", trading_day=str(row.trading_day))


def _unpublished(lake: Lake) -> list[FlatFileRow]:
    with lake.reading() as connection:
        return table.unpublished(connection)


def _place(lake: Lake, row: FlatFileRow) -> tuple[FlatFileRow, BarDay]:
    day, final = row.trading_day, lake.paths.bars(row.trading_day)
    with lake.writing() as connection, lake.partition_locks.holding([days.lock_of(day)]):
        known = days.every(connection)[day]
        if is_present(final, row.parquet_checksum):
            return row, known
        metadata = metadata_of_day(connection, day)
        with hidden_parquet(connection, query_of_day(day), final, row.job_id, metadata) as file:
            rename_durably(file.path, final)
        return replace(row, parquet_bytes=file.size_bytes, parquet_checksum=file.sha256), known


def _complete(lake: Lake, row: FlatFileRow, day: BarDay) -> None:
    with lake.writing() as connection, lake.partition_locks.holding([days.lock_of(row.trading_day)]):
        complete(connection, row, day)
