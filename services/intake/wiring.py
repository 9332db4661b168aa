"""Wire intake's parts together and run them: HTTP at once, the broker when it is there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from services.intake.app import create_app
from services.intake.backfill.service import Backfills
from services.intake.calls.lake_queries import LakeQueries
from services.intake.chronox.jobs import JobChanges
from services.intake.chronox.reports import RUNS_LOGGER
from services.intake.chronox.service import serve_chronox, wire_chronox
from services.intake.history.cancellation import Cancellations
from services.intake.history.commands import JobCommands
from services.intake.history.priority_change import PriorityChanges
from services.intake.history.publisher import JobPublisher
from services.intake.history.replay_service import serve_replay
from services.intake.http.context import AppContext
from services.intake.http.rate_limits import RateLimit
from services.intake.live.feed_hub import FeedHub
from services.intake.live.latest import LatestSnapshots
from services.intake.live.readers import Readers
from services.intake.live.replay_feed import ReplayFeed
from services.intake.priorities.prioritizer import Prioritizer
from services.intake.priorities.rule_metrics import RuleMetrics
from services.intake.priorities.rule_store import RuleStore
from services.intake.priorities.rules import KnownRules
from services.intake.priorities.scoring import Thresholds
from services.intake.queue.estimates import Estimates
from services.intake.queue.metrics import QueueMetrics, RequestMetrics
from services.intake.queue.promises import Promises
from services.intake.queue.work_queue import WorkQueue
from services.intake.server.exposure import check_exposure
from services.intake.server.server_uvicorn import listen, serve_http
from services.intake.settings import IntakeSettings
from services.intake.state.broker_link import BrokerLink
from services.intake.state.dead_letters import DeadLetters
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from services.intake.state.sources.control import SourceControl
from services.intake.state.sources.metrics import SourceMetrics
from services.intake.state.sources.view import KnownSources
from services.intake.state.write_probe import WriteProbe
from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.store import SymbolStore
from shared.bus.connection import connected, utc_now
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.bus.reports.presence import announce_service
from shared.bus.restoration import restore_deleted_streams
from shared.process.garbage import collect_less_garbage
from shared.process.logs import write_beside
from shared.process.runtime import supervise

DESCRIPTION = "Takes requests over HTTP, queues and replays jobs, reports their state"


def wire(settings: IntakeSettings, clock: Callable[[], datetime] = utc_now) -> AppContext:
    """Return the parts of an intake that is not connected yet."""
    link, metrics, latest = BrokerLink(), Metrics(), LatestSnapshots()
    readers = Readers(settings.max_stream_readers, metrics.registry)
    queue, promises = WorkQueue(), Promises()
    sources, rules = KnownSources(), KnownRules(RuleMetrics(metrics.registry))
    symbols = KnownSymbols()
    changes = JobChanges()

    def is_ready() -> bool:
        return projection.is_rebuilt and rules.is_read

    estimates = Estimates(queue, sources, clock)
    requests = RequestMetrics(metrics.registry, promises, lambda: projection.is_rebuilt)
    on_change = (
        queue.changed,
        estimates.changed,
        promises.changed,
        requests.changed,
        changes.changed,
    )
    projection = Projection(clock, metrics, on_change, (queue.forget, promises.forget))
    metrics.registry.register(QueueMetrics(queue, clock))
    metrics.registry.register(SourceMetrics(sources, clock))
    publisher = JobPublisher(link, projection, clock, settings.url_cipher)
    thresholds = Thresholds(settings.priority_critical, settings.priority_high, settings.priority_medium)
    prioritizer = Prioritizer(rules, thresholds, sources, queue, estimates, clock)
    commands = JobCommands(publisher, projection, prioritizer, clock)
    store = SymbolStore(link, symbols, clock)
    chronox = wire_chronox(
        settings, link, symbols, store, projection, commands, changes, metrics.registry, is_ready, clock
    )
    return AppContext(
        settings=settings,
        gate=settings.gate,
        link=link,
        write_probe=WriteProbe(link),
        projection=projection,
        queue=queue,
        estimates=estimates,
        promises=promises,
        dead_letters=DeadLetters(projection, clock),
        sources=sources,
        source_control=SourceControl(link, sources, clock),
        rules=rules,
        rule_store=RuleStore(link, rules, clock),
        thresholds=thresholds,
        prioritizer=prioritizer,
        symbols=symbols,
        symbol_store=store,
        chronox=chronox,
        publisher=publisher,
        commands=commands,
        priority_changes=PriorityChanges(publisher, projection, prioritizer, clock),
        cancellations=Cancellations(publisher, projection),
        backfills=Backfills(link, projection, commands, settings.api, clock),
        lake=LakeQueries(link),
        hub=FeedHub(link, settings.stream_buffer_mb * 1024 * 1024, readers, latest),
        latest=latest,
        replays=ReplayFeed(readers),
        metrics=metrics,
        feed=FeedPublisher(link.require, metrics.live.published),
        history_limit=RateLimit(settings.rate_limit_history),
        gex_limit=RateLimit(settings.rate_limit_gex),
        webhook_limit=RateLimit(settings.rate_limit_webhook),
        clock=clock,
    )


async def serve(settings: IntakeSettings, stop: asyncio.Event) -> None:
    """Run intake until ``stop`` is set.

    Raises:
        CannotStart: the port is taken, a network would be served without API keys, or the connection to the
            broker was closed for good.
    """
    check_exposure(settings)
    if settings.log_dir is not None:
        write_beside(RUNS_LOGGER, settings.log_dir, "chronox.log")
    context = wire(settings)
    collect_less_garbage()
    await serve_app(context, listen(settings.host, settings.port), stop)


async def serve_app(context: AppContext, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve HTTP on ``listener`` and keep to the broker, until ``stop`` is set or the broker is gone."""
    broker = asyncio.create_task(_keep_to_broker(context))
    broker.add_done_callback(lambda _: stop.set())
    stopping = asyncio.create_task(_end_readers(context, stop))
    try:
        await serve_http(create_app(context), listener, context.settings, stop)
    finally:
        stopping.cancel()
        broker.cancel()
        with suppress(asyncio.CancelledError):
            await broker


async def _end_readers(context: AppContext, stop: asyncio.Event) -> None:
    """End the readers of live snapshots at once: they connect again, and the drain does not wait for them."""
    await stop.wait()
    context.hub.stop()
    context.replays.stop()


async def _keep_to_broker(context: AppContext) -> None:
    async with connected(context.settings, "intake") as bus:
        await context.projection.listen(bus)
        async with announce_service(bus, "intake", DESCRIPTION, context.publisher) as service:
            await serve_replay(service, context.commands)
            await serve_chronox(service, context.chronox)
            context.link.bus = bus
            # It goes on while HTTP drains: ``serve_app`` cancels it when that is done.
            background = (
                context.projection.follow(bus),
                context.sources.follow(bus),
                context.rule_store.keep(bus),
                context.symbols.follow(bus),
                context.chronox.orchestrator.keep(),
                context.dead_letters.follow(bus),
                context.hub.follow(bus),
                restore_deleted_streams(bus, context.settings.stream_replicas),
            )
            await supervise(bus.closed, asyncio.Event(), background=background)
