"""Build the fetcher from its settings; tests pass their fakes through here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import httpx
import structlog

from gexlake.api.jobs import Stage
from services.fetcher.dispatch import by_resource
from services.fetcher.download.attempt import Limits
from services.fetcher.download.bandwidth import Bandwidth
from services.fetcher.download.partial_recovery import sweep_tree
from services.fetcher.download.stall_detector import MinimumSpeed
from services.fetcher.gexbot.api import VendorApiClient
from services.fetcher.gexbot.lease_nats import VendorLease
from services.fetcher.handler import fetch_file
from services.fetcher.health.circuit_breaker import BreakerRules
from services.fetcher.health.source_health_nats import SourceHealthStore
from services.fetcher.locations import Locations
from services.fetcher.massive.flat_files import FlatFiles
from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rate_slots_nats import RateSlots
from services.fetcher.massive.rest import MassiveRest
from services.fetcher.massive.stream.wiring import new_supervisor
from services.fetcher.rows import RowJobs
from services.fetcher.settings import FetcherSettings
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import HttpSource, new_client
from services.fetcher.sources.local import LocalSource
from services.fetcher.sources.response_policy import max_response_s
from services.fetcher.sources.source import Body, ResumePoint, Source
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.bus.consumer.attempts import Retries
from shared.bus.consumer.worker import Worker
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.bus.reports.presence import announce_service
from shared.bus.restoration import restore_deleted_streams
from shared.errors import CannotStart
from shared.massive.resources import FlatFile, MassiveUrls
from shared.paths import LakePaths
from shared.process.durable_files import make_folder
from shared.process.redaction import redact_values
from shared.process.runtime import supervise
from shared.sources.gate import SourceGate
from shared.symbol_registry import SymbolRegistry

DESCRIPTION: Final = "Downloads source files and stages them"
SWEEP_INTERVAL_S: Final = 3600.0
PUBLISH_WITHIN_S: Final = 10.0
"""How long a job waits for the ack of its rows, of which there may be megabytes."""

log = structlog.get_logger(__name__)


class SourceByUrl:
    """Opens ``file:`` URLs with the local source, flat files of Massive with theirs, and others over HTTP."""

    def __init__(self, web: Source, local: Source, massive: MassiveUrls, flat_files: FlatFiles) -> None:
        self._web = web
        self._local = local
        self._massive = massive
        self._flat_files = flat_files

    def open(self, url: str, resume_from: ResumePoint | None = None) -> AbstractAsyncContextManager[Body]:
        """Open a file, or the rest of it."""
        flat_file = self._massive.resource_of(url)
        if isinstance(flat_file, FlatFile):
            return self._flat_files.open(flat_file.day, resume_from)
        return (self._local if url[:5].lower() == "file:" else self._web).open(url, resume_from)


@asynccontextmanager
async def sources(settings: FetcherSettings) -> AsyncIterator[Source]:
    """Yield the sources that the settings allow."""
    flat_files_gate = SourceGate.parse((settings.massive_files,))
    async with client_for(settings, settings.gate) as client, client_for(settings, flat_files_gate) as other:
        flat_files = FlatFiles(
            HttpSource(other, flat_files_gate),
            settings.massive_files,
            settings.massive_s3_access_key,
            settings.massive_s3_secret_key,
            lambda: datetime.now(UTC),
        )
        web, local = HttpSource(client, settings.gate), LocalSource(settings.gate)
        yield SourceByUrl(web, local, settings.massive, flat_files)


def client_for(settings: FetcherSettings, gate: SourceGate) -> httpx.AsyncClient:
    """Return a client for the hosts of a gate only."""
    return new_client(settings.fetch_connect_timeout_s, settings.fetch_read_timeout_s, GatedBackend(gate))


def new_limits(settings: FetcherSettings) -> Limits:
    """Return the limits of an attempt, with the bandwidth cap that all attempts share."""
    return Limits(
        max_bytes=settings.max_file_bytes,
        timeout_s=settings.fetch_timeout_s,
        min_speed=MinimumSpeed(settings.fetch_min_bytes_per_s, settings.fetch_min_speed_window_s),
        bandwidth=Bandwidth(settings.fetch_bytes_per_s),
    )


def breaker_rules(settings: FetcherSettings) -> BreakerRules:
    """Return when a circuit opens; a probe may take as long as the slowest response."""
    return BreakerRules(
        failures=settings.source_max_failures,
        pause_s=settings.source_pause_s,
        max_pause_s=settings.source_longest_pause_s,
        probe_s=max_response_s(settings.fetch_connect_timeout_s, settings.fetch_read_timeout_s),
    )


@asynccontextmanager
async def locations(bus: Bus, settings: FetcherSettings) -> AsyncIterator[Locations]:
    """Yield the locator of files; only its client has the key to the vendor's API."""
    async with (
        client_for(settings, SourceGate.parse((settings.vendor_api,))) as client,
        VendorLease(bus) as lease,
    ):
        vendor = VendorApiClient(client, settings.api, settings.gexbot_api_key, settings.gate)
        health = SourceHealthStore(bus, breaker_rules(settings))
        yield Locations(settings.api, settings.massive, vendor.signed_url, lease, health)


@asynccontextmanager
async def row_jobs(bus: Bus, settings: FetcherSettings, limits: Limits) -> AsyncIterator[RowJobs]:
    """Yield what executes jobs of Massive's REST API; only its client has the key."""
    async with client_for(settings, SourceGate.parse((settings.massive_api,))) as client:
        publisher = FeedPublisher(lambda: bus, answer_within_s=PUBLISH_WITHIN_S, stream=subjects.CHRONOX)
        yield RowJobs(
            bus,
            settings.massive_api,
            partial(MassiveRest, client, settings.massive_api, settings.massive_api_key),
            BarPublisher(publisher, bus.clock),
            RateSlots(bus, settings.massive_calls_per_minute),
            SourceHealthStore(bus, breaker_rules(settings)),
            limits,
            settings.snapshot_limits,
            timedelta(hours=settings.source_outage_limit_h),
        )


@asynccontextmanager
async def massive_rest(bus: Bus, settings: FetcherSettings) -> AsyncIterator[MassiveRest]:
    """Yield Massive's REST API for the stream; only its client has the key."""
    slots = RateSlots(bus, settings.massive_calls_per_minute)
    async with client_for(settings, SourceGate.parse((settings.massive_api,))) as client:
        yield MassiveRest(client, settings.massive_api, settings.massive_api_key, slots.wait)


@asynccontextmanager
async def new_worker(bus: Bus, settings: FetcherSettings) -> AsyncIterator[Worker]:
    """Yield the worker that executes fetch commands."""
    limits = new_limits(settings)
    async with (
        sources(settings) as source,
        locations(bus, settings) as found,
        row_jobs(bus, settings, limits) as rows,
    ):
        files = partial(
            fetch_file,
            bus=bus,
            source=source,
            locations=found,
            url_cipher=settings.url_cipher,
            health=SourceHealthStore(bus, breaker_rules(settings)),
            paths=settings.paths,
            limits=limits,
            outage_limit=timedelta(hours=settings.source_outage_limit_h),
        )
        handle = by_resource(settings.massive, settings.url_cipher, files, rows.execute)
        yield Worker(bus, Stage.FETCH, handle, slots=settings.fetch_slots, retries=new_retries(settings))


def new_retries(settings: FetcherSettings) -> Retries:
    """Return when a failed attempt is repeated."""
    return Retries(settings.max_attempts, settings.retry_delay_s, settings.fetch_retry_after_max_s)


async def serve(settings: FetcherSettings, stop: asyncio.Event) -> None:
    """Fetch until ``stop`` is set, then finish or return the commands in progress.

    Raises:
        CannotStart: the staging folder is unusable, or the connection was closed for good.
    """
    redact_values(settings.vendor_keys)
    asyncio.get_running_loop().set_default_executor(new_threads(settings.fetch_slots))
    await asyncio.to_thread(prepare, settings.paths)
    async with (
        connected(settings, "fetcher", stop) as bus,
        new_worker(bus, settings) as worker,
        massive_rest(bus, settings) as rest,
    ):
        registry = SymbolRegistry()
        stream = new_supervisor(bus, registry, settings.massive_stream, settings.massive_api_key, rest)
        async with announce_service(
            bus,
            "fetcher",
            DESCRIPTION,
            worker,
            slots=settings.fetch_slots,
            has_vendor_key=settings.gexbot_api_key is not None,
            has_massive_key=settings.massive_api_key is not None,
            has_massive_file_keys=settings.has_massive_file_keys,
            stream=lambda: stream.report,
        ):
            await supervise(
                bus.closed,
                stop,
                working=[worker.run(stop, settings.drain_timeout_s), stream.run(stop)],
                background=[
                    registry.follow(bus),
                    sweep_periodically(settings.paths),
                    restore_deleted_streams(bus, settings.stream_replicas),
                ],
            )


def new_threads(slots: int) -> ThreadPoolExecutor:
    """Return threads for ``slots`` fetches: three each (read, write, flush), and one for the sweep."""
    return ThreadPoolExecutor(3 * slots + 1, "fetcher")


def prepare(paths: LakePaths) -> None:
    """Create the folders of staged files and sweep the partial files of ended processes.

    Raises:
        CannotStart: a folder cannot be written.
    """
    try:
        for folder in paths.staging_folders:
            make_folder(folder)
        swept = sweep_folders(paths)
    except OSError as error:
        raise CannotStart(
            f"the staging folder {paths.staging_root} is unusable: {error.strerror or error}"
        ) from error
    if swept:
        log.info("partial_files_swept", count=swept)


def sweep_folders(paths: LakePaths) -> int:
    """Sweep stale partial files of the staging folder; return how many."""
    return sum(sweep_tree(folder, time.time()) for folder in paths.staging_folders)


async def sweep_periodically(paths: LakePaths) -> None:
    """Sweep stale partial files of the staging folder every hour."""
    while True:
        await asyncio.sleep(SWEEP_INTERVAL_S)
        try:
            swept = await asyncio.to_thread(sweep_folders, paths)
        except OSError as error:
            log.warning("partial_files_not_swept", error=error.strerror or str(error))
            continue
        if swept:
            log.info("partial_files_swept", count=swept)
