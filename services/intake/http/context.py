"""The context of a running intake, as its routes see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from services.intake.backfill.service import Backfills
from services.intake.calls.lake_queries import LakeQueries
from services.intake.chronox.service import ChronoX
from services.intake.history.cancellation import Cancellations
from services.intake.history.commands import JobCommands
from services.intake.history.priority_change import PriorityChanges
from services.intake.history.publisher import JobPublisher
from services.intake.http.rate_limits import RateLimit
from services.intake.live.feed_hub import FeedHub
from services.intake.live.latest import LatestSnapshots
from services.intake.live.replay_feed import ReplayFeed
from services.intake.priorities.prioritizer import Prioritizer
from services.intake.priorities.rule_store import RuleStore
from services.intake.priorities.rules import KnownRules
from services.intake.priorities.scoring import Thresholds
from services.intake.queue.estimates import Estimates
from services.intake.queue.promises import Promises
from services.intake.queue.work_queue import WorkQueue
from services.intake.settings import IntakeSettings
from services.intake.state.broker_link import BrokerLink
from services.intake.state.dead_letters import DeadLetters
from services.intake.state.metrics import Metrics
from services.intake.state.projection import Projection
from services.intake.state.sources.control import SourceControl
from services.intake.state.sources.view import KnownSources
from services.intake.state.write_probe import WriteProbe
from services.intake.symbols.known import KnownSymbols
from services.intake.symbols.store import SymbolStore
from shared.bus.feeds.batch_publisher import FeedPublisher
from shared.sources.gate import SourceGate


@dataclass(frozen=True)
class AppContext:
    """Everything that a route may need."""

    settings: IntakeSettings
    gate: SourceGate
    link: BrokerLink
    write_probe: WriteProbe
    projection: Projection
    queue: WorkQueue
    estimates: Estimates
    promises: Promises
    dead_letters: DeadLetters
    sources: KnownSources
    source_control: SourceControl
    rules: KnownRules
    rule_store: RuleStore
    symbols: KnownSymbols
    symbol_store: SymbolStore
    chronox: ChronoX
    thresholds: Thresholds
    prioritizer: Prioritizer
    publisher: JobPublisher
    commands: JobCommands
    priority_changes: PriorityChanges
    cancellations: Cancellations
    backfills: Backfills
    lake: LakeQueries
    hub: FeedHub
    latest: LatestSnapshots
    replays: ReplayFeed
    metrics: Metrics
    feed: FeedPublisher
    history_limit: RateLimit
    gex_limit: RateLimit
    webhook_limit: RateLimit
    clock: Callable[[], datetime]


def context_of(connection: HTTPConnection) -> AppContext:
    """Return the context of the app that serves a request or a WebSocket."""
    return cast(AppContext, connection.app.state.context)


async def _context_of(connection: HTTPConnection) -> AppContext:
    # FastAPI calls what is not a coroutine function in a thread, which takes longer than the call.
    return context_of(connection)


Context = Annotated[AppContext, Depends(_context_of)]
