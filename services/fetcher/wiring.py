"""Build the fetcher from its settings; tests pass their fakes through here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from gexlake.api.jobs import Stage
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
from services.fetcher.massive.rate_slots_nats import RateSlots
from services.fetcher.massive.rest import MassiveRest
from services.fetcher.massive.stream.wiring import new_supervisor
from services.fetcher.settings import FetcherSettings
from services.fetcher.sources.gated_network import GatedBackend
from services.fetcher.sources.http import HttpSource, new_client
from services.fetcher.sources.local import LocalSource
from services.fetcher.sources.response_policy import max_response_s
from services.fetcher.sources.source import Body, ResumePoint, Source
from shared.bus.connection import Bus, connected
from shared.bus.consumer.attempts import Retries
from shared.bus.consumer.worker import Worker
from shared.bus.reports.presence import announce_service
from shared.bus.restoration import restore_deleted_streams
from shared.errors import CannotStart
from shared.paths import LakePaths
from shared.process.durable_files import make_folder
from shared.process.runtime import supervise
from shared.sources.gate import SourceGate
from shared.symbol_registry import SymbolRegistry

DESCRIPTION: Final = "Downloads source files and stages them"
SWEEP_INTERVAL_S: Final = 3600.0

log = structlog.get_logger(__name__)


class SourceByScheme:
    """Opens ``file:`` URLs with the local source and all others with the HTTP source."""

    def __init__(self, web: Source, local: Source) -> None:
        self._web = web
        self._local = local

    def open(self, url: str, resume_from: ResumePoint | None = None) -> AbstractAsyncContextManager[Body]:
        """Open a file, or the rest of it."""
        return (self._local if url[:5].lower() == "file:" else self._web).open(url, resume_from)


@asynccontextmanager
async def sources(settings: FetcherSettings) -> AsyncIterator[Source]:
    """Yield the sources that the settings allow."""
    network = GatedBackend(settings.gate)
    async with new_client(settings.fetch_connect_timeout_s, settings.fetch_read_timeout_s, network) as client:
        yield SourceByScheme(HttpSource(client, settings.gate), LocalSource(settings.gate))


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
    network = GatedBackend(SourceGate.parse((settings.vendor_api,)))
    async with (
        new_client(settings.fetch_connect_timeout_s, settings.fetch_read_timeout_s, network) as client,
        VendorLease(bus) as lease,
    ):
        vendor = VendorApiClient(client, settings.api, settings.gexbot_api_key, settings.gate)
        yield Locations(
            settings.api, vendor.signed_url, lease, SourceHealthStore(bus, breaker_rules(settings))
        )


@asynccontextmanager
async def massive_rest(bus: Bus, settings: FetcherSettings) -> AsyncIterator[MassiveRest]:
    """Yield Massive's REST API; only its client has the key."""
    network = GatedBackend(SourceGate.parse((settings.massive_api,)))
    slots = RateSlots(bus, settings.massive_calls_per_minute)
    async with new_client(settings.fetch_connect_timeout_s, settings.fetch_read_timeout_s, network) as client:
        yield MassiveRest(client, settings.massive_api, settings.massive_api_key, slots.wait)


def new_worker(bus: Bus, settings: FetcherSettings, source: Source, locations: Locations) -> Worker:
    """Return the worker that executes fetch commands."""
    handle = partial(
        fetch_file,
        bus=bus,
        source=source,
        locations=locations,
        url_cipher=settings.url_cipher,
        health=SourceHealthStore(bus, breaker_rules(settings)),
        paths=settings.paths,
        limits=new_limits(settings),
        outage_limit=timedelta(hours=settings.source_outage_limit_h),
    )
    retries = Retries(settings.max_attempts, settings.retry_delay_s, settings.fetch_retry_after_max_s)
    return Worker(bus, Stage.FETCH, handle, slots=settings.fetch_slots, retries=retries)


async def serve(settings: FetcherSettings, stop: asyncio.Event) -> None:
    """Fetch until ``stop`` is set, then finish or return the commands in progress.

    Raises:
        CannotStart: the staging folder is unusable, or the connection was closed for good.
    """
    asyncio.get_running_loop().set_default_executor(new_threads(settings.fetch_slots))
    await asyncio.to_thread(prepare, settings.paths)
    async with (
        connected(settings, "fetcher", stop) as bus,
        sources(settings) as source,
        locations(bus, settings) as found,
        massive_rest(bus, settings) as rest,
    ):
        registry = SymbolRegistry()
        stream = new_supervisor(bus, registry, settings.massive_stream, settings.massive_api_key, rest)
        worker = new_worker(bus, settings, source, found)
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
