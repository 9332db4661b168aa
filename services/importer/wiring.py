"""Put the importer's parts together; tests pass their own lake or bus through here."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from services.importer import ledger_duckdb
from services.importer.handlers import import_file, imported
from services.importer.lake_duckdb import Lake
from services.importer.ledger_keeper import LedgerKeeper
from services.importer.partitions_duckdb import PartitionRow
from services.importer.queries_nats import Queries, serve_queries
from services.importer.recovery import recover
from services.importer.settings import ImporterSettings
from shared.bus import Bus, connected
from shared.errors import BrokerUnavailable, CannotStart, Transient
from shared.presence import present
from shared.runtime import supervise
from shared.subjects import Stage
from shared.worker import Retries, Worker

log = structlog.get_logger(__name__)


async def serve(settings: ImporterSettings, stop: asyncio.Event) -> None:
    """Run the importer until ``stop`` is set.

    Raises:
        CannotStart: another importer holds the lake, or it cannot be opened.
    """
    lake = await asyncio.to_thread(Lake.open, settings)
    try:
        async with connected(settings, "importer", stop) as bus:
            await serve_on(bus, lake, settings, stop)
    finally:
        await asyncio.to_thread(lake.close)


async def serve_on(bus: Bus, lake: Lake, settings: ImporterSettings, stop: asyncio.Event) -> None:
    """Import and answer queries over an open bus and lake."""
    keeper = LedgerKeeper(bus, lake)
    await _finish_what_was_committed(bus, lake)
    handler = partial(
        import_file,
        bus=bus,
        lake=lake,
        min_share=settings.min_snapshot_share,
        timeout_s=settings.import_timeout_s,
    )
    retries = Retries(settings.max_attempts, settings.retry_delay_s)
    worker = Worker(bus, Stage.IMPORT, handler, slots=1, retries=retries)
    async with present(
        bus, "importer", "Imports staged files and answers queries on the lake", worker
    ) as service:
        await serve_queries(service, Queries(lake, settings))
        await supervise(
            bus,
            stop,
            working=[worker.run(stop, settings.drain_timeout_s)],
            background=[keeper.follow(), keeper.write()],
        )


async def _finish_what_was_committed(bus: Bus, lake: Lake) -> None:
    """Publish the partitions of a dead process, and tell of them: their message may be long gone."""
    try:
        for row in await asyncio.to_thread(recover, lake, bus.clock):
            await _tell(bus, lake, row)
    except BrokerUnavailable as error:
        log.warning("recovery_not_announced", error=str(error))
    except Transient as error:
        raise CannotStart(f"the last run's work cannot be finished: {error}") from error


async def _tell(bus: Bus, lake: Lake, row: PartitionRow) -> None:
    with lake.reading() as connection:
        known = ledger_duckdb.read_one(connection, row.job_id)
    if known is not None and known.generation == row.generation:
        await bus.announce(imported(known.job, row))
