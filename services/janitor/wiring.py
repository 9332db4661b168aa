"""Wire the janitor: build the duties with their adapters and run them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from services.janitor.adapters.chronox_nats import IntakeBars
from services.janitor.adapters.known_jobs_nats import KnownJobs
from services.janitor.adapters.ledger_nats import ImporterLedger
from services.janitor.adapters.queues_nats import JobQueues
from services.janitor.adapters.replays_nats import IntakeReplays
from services.janitor.adapters.staging_folder_os import StagingFolderOnDisk
from services.janitor.duties.archive_jobs import ArchiveConfig, ArchiveJobs
from services.janitor.duties.detect_gaps import GapDetection
from services.janitor.duties.monitor_streams import StreamMonitoring
from services.janitor.duties.prune_staged_files import PruneConfig, PruneStagedFiles
from services.janitor.duties.refresh_snapshots import SnapshotRefresh
from services.janitor.duties.requeue_stranded_jobs import RequeueConfig, RequeueStrandedJobs
from services.janitor.duty import Duty, Jobs
from services.janitor.schedule_service import serve_schedule
from services.janitor.scheduler import Scheduler
from services.janitor.settings import JanitorSettings
from shared.bus.connection import Bus, connected
from shared.bus.reports.presence import announce_service
from shared.bus.restoration import restore_deleted_streams
from shared.process.runtime import supervise

DESCRIPTION: Final = "Prunes, requeues and archives, and runs the schedule of minute bars"


def pruning(settings: JanitorSettings, bus: Bus, jobs: Jobs) -> PruneStagedFiles:
    """Return the duty that prunes staged files."""
    config = PruneConfig(
        retention=timedelta(days=settings.staged_retention_days),
        max_files=settings.prune_batch,
        interval_s=settings.prune_interval_s,
    )
    return PruneStagedFiles(config, StagingFolderOnDisk(settings.paths), jobs, bus.clock)


def requeueing(settings: JanitorSettings, bus: Bus, jobs: Jobs) -> RequeueStrandedJobs:
    """Return the duty that requeues stranded jobs."""
    config = RequeueConfig(
        stranded_after=timedelta(seconds=settings.stranded_after_s),
        max_jobs=settings.requeue_batch,
        interval_s=settings.requeue_interval_s,
    )
    return RequeueStrandedJobs(config, jobs, JobQueues(bus), IntakeReplays(bus), bus.clock)


def archiving(settings: JanitorSettings, bus: Bus) -> ArchiveJobs:
    """Return the duty that has old jobs archived."""
    config = ArchiveConfig(
        after=timedelta(days=settings.archive_after_days),
        max_jobs=settings.archive_batch,
        interval_s=settings.archive_interval_s,
    )
    return ArchiveJobs(config, ImporterLedger(bus), bus.clock)


def of_bars(settings: JanitorSettings, bus: Bus) -> tuple[Duty, ...]:
    """Return the duties about minute bars."""
    intake = IntakeBars(bus)
    return (
        GapDetection(settings.gap_detection_at, intake),
        SnapshotRefresh(settings.snapshot_refresh_s, intake),
        StreamMonitoring(settings.stream_monitoring_s, intake),
    )


async def serve(settings: JanitorSettings, stop: asyncio.Event) -> None:
    """Run the duties until ``stop`` is set.

    Raises:
        BrokerGone: the connection was closed for good.
    """
    async with connected(settings, "janitor", stop) as bus:
        jobs = KnownJobs(bus)
        scheduler = Scheduler(
            [
                pruning(settings, bus, jobs),
                requeueing(settings, bus, jobs),
                archiving(settings, bus),
                *of_bars(settings, bus),
            ]
        )
        async with announce_service(bus, "janitor", DESCRIPTION, scheduler) as service:
            await serve_schedule(service, scheduler)
            await supervise(
                bus.closed,
                stop,
                working=[scheduler.run(stop, settings.drain_timeout_s)],
                background=[jobs.follow(), restore_deleted_streams(bus, settings.stream_replicas)],
            )
