"""The parts of ChronoX put together, and its NATS micro endpoints (``gex.svc.chronox.…``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from nats.micro.service import Service
from prometheus_client import CollectorRegistry

from gexlake.api.chronox.runs import (
    CHECK_STREAMS,
    DETECT_GAPS,
    EXECUTE,
    REFRESH_SNAPSHOTS,
    CheckStreams,
    StreamsChecked,
)
from gexlake.api.rpc import Refused as RequestRefused
from gexlake.api.rpc import serve
from services.intake.bars.coverage import BarCoverage
from services.intake.bars.fills import GapFills
from services.intake.bars.lake import LakeBars
from services.intake.bars.metrics import GapMetrics
from services.intake.chronox.execution import Executions
from services.intake.chronox.jobs import JobChanges, RunJobs
from services.intake.chronox.orchestrator import Orchestrator
from services.intake.chronox.phases import Phases
from services.intake.chronox.reports import RunReports
from services.intake.chronox.runs import RunStore
from services.intake.chronox.snapshots import SnapshotBatches
from services.intake.chronox.streams import PublishedTimes
from services.intake.errors import Refused
from services.intake.history.commands import JobCommands
from services.intake.settings import IntakeSettings
from services.intake.state.broker_link import BrokerLink
from services.intake.state.projection import Projection
from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.lease import OwnerLease
from services.intake.symbols.store import SymbolStore
from shared.errors import GexlakeError
from shared.process.redaction import redact

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ChronoX:
    """The parts that others use."""

    executions: Executions
    orchestrator: Orchestrator
    times: PublishedTimes
    lake: LakeBars
    gaps: GapFills


def wire_chronox(
    settings: IntakeSettings,
    link: BrokerLink,
    symbols: KnownSymbols,
    store: SymbolStore,
    projection: Projection,
    commands: JobCommands,
    changes: JobChanges,
    registry: CollectorRegistry,
    is_ready: Callable[[], bool],
    clock: Callable[[], datetime],
) -> ChronoX:
    """Return the parts, put together.

    Args:
        settings: of intake.
        link: the connection.
        symbols: the registry.
        store: writes the registry.
        projection: what is known of jobs.
        commands: queues jobs.
        changes: gets each change of a job from the projection.
        registry: gets the metrics.
        is_ready: whether jobs can be queued; until then no run goes on.
        clock: the present moment.
    """
    lease = OwnerLease(link, settings.bars_run_lease_s)
    runs = RunStore(store, lease, clock)
    times = PublishedTimes(link, symbols, store, clock)
    jobs = RunJobs(changes, projection, commands, settings.massive, settings.bars_max_jobs)
    snapshots = SnapshotBatches(jobs, commands, times)
    days = settings.bars_history_days
    phases = Phases(jobs, snapshots, BarCoverage(link), projection.heartbeats, days, clock)
    reports = RunReports(registry, lambda: sum(found.symbol.run is not None for found in symbols.unfinished))
    lake = LakeBars(link)
    return ChronoX(
        Executions(symbols, projection, runs, phases, snapshots, clock),
        Orchestrator(symbols, runs, lease, phases, jobs, snapshots, reports, is_ready),
        times,
        lake,
        GapFills(settings, symbols, projection, commands, lake, GapMetrics(registry), clock),
    )


async def serve_chronox(service: Service, chronox: ChronoX) -> None:
    """Add the endpoints to intake's micro service."""

    async def check_streams(_: CheckStreams) -> StreamsChecked:
        return await chronox.times.check_streams()

    await serve(service, EXECUTE, chronox.executions.execute, refusal=refusal_of)
    await serve(service, REFRESH_SNAPSHOTS, chronox.executions.refresh_snapshots, refusal=refusal_of)
    await serve(service, DETECT_GAPS, chronox.gaps.detect, refusal=refusal_of)
    await serve(service, CHECK_STREAMS, check_streams, refusal=refusal_of)


def refusal_of(error: Exception) -> RequestRefused:
    """Return the refusal of a request: its status as over HTTP, 503 for what may be sent again."""
    match error:
        case Refused():
            return RequestRefused(error.status, str(error))
        case GexlakeError():
            return RequestRefused(503, redact(str(error)))
        case _:
            log.error("unexpected_error", exc_info=error)
            return RequestRefused(500, "an unexpected error, which is in intake's log")
