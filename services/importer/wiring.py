"""Wire the importer together; tests pass their own lake or bus here."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from gexlake.api.jobs import Stage
from services.importer.backup.service import serve_snapshots
from services.importer.bars.export import BarExporter
from services.importer.bars.service import BarStorage
from services.importer.dispatch import Handler, by_dataset
from services.importer.errors import StorageTrouble
from services.importer.feeds.export import Exporter
from services.importer.feeds.service import FeedStorage
from services.importer.flat_files.handler import import_flat_file
from services.importer.flat_files.recovery import finish_flat_files
from services.importer.gaps.service import BarQueries, serve_bar_queries
from services.importer.imports.handler import import_file
from services.importer.imports.recovery import finish_committed, sweep
from services.importer.imports.repair.service import Repair
from services.importer.lake.database import Lake
from services.importer.lake.records import place_missing_records
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.archive_service import serve_archive
from services.importer.ledger.keeper import LedgerKeeper
from services.importer.mirrors.mirror import Mirror
from services.importer.mirrors.rules import RuleTables
from services.importer.mirrors.sources import SourceTable
from services.importer.mirrors.symbols import SymbolTable
from services.importer.queries.service import LakeQueries, SqlQueries, serve_queries
from services.importer.reader import library
from services.importer.settings import FlatFileSymbols, ImporterSettings
from shared.bus.connection import Bus, connected
from shared.bus.consumer.attempts import Retries
from shared.bus.consumer.worker import Worker
from shared.bus.reports.presence import announce_service
from shared.bus.restoration import restore_deleted_streams
from shared.errors import BrokerUnavailable
from shared.gexbot.dataset import GEXBOT
from shared.massive.dataset import MASSIVE
from shared.process.garbage import collect_less_garbage
from shared.process.runtime import supervise

_SLOTS: Final = 1
"""Imports at the same time: DuckDB has one writer."""

log = structlog.get_logger(__name__)


async def serve(settings: ImporterSettings, stop: asyncio.Event) -> None:
    """Run the importer until ``stop`` is set.

    Raises:
        CannotStart: the compiled reader is missing, another importer holds the lake, or it cannot be opened.
    """
    library.check()
    collect_less_garbage()
    lake = await asyncio.to_thread(Lake.open, settings)
    try:
        async with connected(settings, "importer", stop) as bus:
            await serve_on(bus, lake, settings, stop)
    finally:
        await asyncio.to_thread(lake.close)


async def serve_on(bus: Bus, lake: Lake, settings: ImporterSettings, stop: asyncio.Event) -> None:
    """Import and answer queries over an open bus and lake."""
    writer = WriterThread()
    keeper = LedgerKeeper(bus, lake, writer)
    tables = (RuleTables(), SourceTable(), SymbolTable())
    mirrors = [Mirror(bus, lake, writer, table) for table in tables]
    repair = Repair(bus, lake, writer, keeper, limits=settings.limits, timeout_s=settings.import_timeout_s)
    repair.on_reopened = [mirror.write_again for mirror in mirrors]
    exporter = Exporter(lake, writer, every_s=settings.live_export_s, waiting=lambda: repair.to_load)
    await _recover(bus, lake, repair)
    # Queries read live rows from files, and the small ones of the time before were removed at start.
    await exporter.try_to_export()
    common = partial(
        partial,
        bus=bus,
        lake=lake,
        writer=writer,
        limits=settings.limits,
        timeout_s=settings.import_timeout_s,
    )
    all_symbols = settings.flat_file_symbols is FlatFileSymbols.ALL
    handlers: dict[str, Handler] = {
        GEXBOT.name: common(import_file, repair=repair, after_import=exporter.after_import),
        MASSIVE.name: common(import_flat_file, all_symbols=all_symbols),
    }
    retries = Retries(settings.max_attempts, settings.retry_delay_s)
    worker = Worker(bus, Stage.IMPORT, by_dataset(handlers), slots=_SLOTS, retries=retries)
    feed = FeedStorage(bus, lake, lake.live_files.append, a_file_each=settings.snapshot_parquet)
    bars, bar_exporter = BarStorage(bus, lake), BarExporter(lake, settings.live_export_s)
    gaps = BarQueries(lake, bus.clock)
    keeper.on_change.append(gaps.take)
    sql = SqlQueries(lake, settings)
    await sql.start()
    try:
        async with announce_service(
            bus,
            "importer",
            "Imports staged files and answers queries on the lake",
            worker,
            slots=_SLOTS,
            rebuilding=lambda: repair.remaining,
        ) as service:
            await serve_snapshots(service, lake, writer)
            await serve_archive(service, bus, lake, writer, keeper)
            await serve_queries(service, bus.client, sql, LakeQueries(lake, settings), exporter.export)
            await serve_bar_queries(service, gaps)
            await supervise(
                bus.closed,
                stop,
                working=[worker.run(stop, settings.drain_timeout_s), feed.run(stop), bars.run(stop)],
                background=[
                    keeper.follow(),
                    keeper.write(),
                    *(mirror.follow() for mirror in mirrors),
                    *(mirror.write() for mirror in mirrors),
                    repair.run(),
                    feed.keep_room(),
                    exporter.run(),
                    bars.keep_room(),
                    bar_exporter.run(),
                    gaps.keep_refusals(keeper.has_caught_up),
                    restore_deleted_streams(bus, settings.stream_replicas),
                ],
            )
    finally:
        await sql.pool.close()


async def _recover(bus: Bus, lake: Lake, repair: Repair) -> None:
    """Remove the temporary files of a process that died, compare with Parquet, and finish its import."""
    await asyncio.to_thread(sweep, lake)
    try:
        await repair.compare()
        await asyncio.to_thread(place_missing_records, lake)
        await finish_committed(bus, lake)
        await finish_flat_files(bus, lake)
    except (BrokerUnavailable, StorageTrouble) as error:
        # The next import tries again.
        log.warning("recovery_deferred", error=str(error))
