"""Metrics for Prometheus, and the middleware that counts requests; one registry per app, nothing global."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gexlake.api.jobs import Stage
from services.intake.state.live_metrics import LiveMetrics
from services.intake.state.projection import Projection
from services.intake.state.status import BrokerState, jobs_by_state, partitions_to_rebuild
from shared.bus.messages import (
    Event,
    FileStaged,
    JobFailed,
    JobSkipped,
    JobStarted,
    NoData,
    PartitionImported,
    RowsPublished,
)
from shared.bus.reports.presence import HEARTBEAT_INTERVAL_S
from shared.datasets import find_dataset
from shared.job_states import KEPT_FOR

_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_ROWS: Final = (0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_REPORTS_COUNT_FOR: Final = timedelta(seconds=3 * HEARTBEAT_INTERVAL_S)
_UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts requests and events as they come; gauges are read at each scrape.

    Events of the time before the start are not counted, only those that come while intake runs.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.live = LiveMetrics(self.registry)
        self._counters = _Counters(self.registry)
        self._gauges = _Gauges(self.registry)
        self._starts = _Starts()

    def counted_request(self, route: str, method: str, status: int) -> None:
        """Count one answered request."""
        self._counters.requests.labels(route, method, str(status)).inc()

    def saw(self, event: Event, at: datetime, *, live: bool) -> None:
        """Count an event."""
        match event:
            case JobStarted():
                self._starts.note(event.job.job_id, event.stage, at)
            case FileStaged():
                self._ended(event, Stage.FETCH, "done", at, live=live)
                if live:
                    self._counters.fetched.inc(event.size_bytes)
            case PartitionImported():
                self._ended(event, Stage.IMPORT, "done", at, live=live)
                counts = event.counts
                if counts is None:
                    counts = {"snapshots": event.snapshots, "strike_rows": event.strike_rows}
                self._brought(event, counts, live=live)
            case JobSkipped():
                self._ended(event, Stage.IMPORT, "skipped", at, live=live)
            case RowsPublished():
                self._ended(event, Stage.FETCH, "done", at, live=live)
                self._brought(event, event.counts, live=live)
            case NoData():
                self._ended(event, Stage.FETCH, "no_data", at, live=live)
            case JobFailed():
                self._ended(event, event.stage, "failed", at, live=live)

    def expose(self, projection: Projection, broker_state: BrokerState | None, now: datetime) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._gauges.set(projection, broker_state, now)
        return generate_latest(self.registry)

    def _brought(self, event: Event, counts: Mapping[str, int], *, live: bool) -> None:
        """Count rows by table: by symbol there would be too many series."""
        dataset = find_dataset(event.job.endpoint) if live else None
        for name, table in dataset.tables.items() if dataset else ():
            if name in counts:
                self._counters.imported.labels(table).inc(counts[name])
                self._counters.job_rows.labels(table).observe(counts[name])

    def _ended(self, event: Event, stage: Stage, outcome: str, at: datetime, *, live: bool) -> None:
        started_at = self._starts.take(event.job.job_id, stage)
        if live and started_at is not None:
            seconds = max(0.0, (at - started_at).total_seconds())
            self._counters.stage_seconds.labels(stage, outcome).observe(seconds)


class _Counters:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "gexlake_http_requests",
            "HTTP requests by route, method and status",
            ("route", "method", "status"),
            registry=registry,
        )
        self.fetched = Counter("gexlake_fetched_bytes", "Bytes of staged files", registry=registry)
        self.imported = Counter(
            "gexlake_imported_rows", "Rows imported, by table", ("table",), registry=registry
        )
        self.job_rows = Histogram(
            "gexlake_job_rows",
            "Rows that a job brought in, by table: of bars and snapshots, mostly those of a symbol",
            ("table",),
            buckets=_ROWS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "gexlake_stage_seconds",
            "Seconds from the last start of a stage to its end",
            ("stage", "outcome"),
            buckets=_SECONDS,
            registry=registry,
        )


class _Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge("gexlake_jobs", "Jobs of the last 30 days", ("state",), registry=registry)
        self._queue = Gauge(
            "gexlake_queue_depth",
            "Commands that wait or are in hand",
            ("stage", "priority"),
            registry=registry,
        )
        self._dead = Gauge(
            "gexlake_dead_letters", "Dead letters that are not resolved", (), registry=registry
        )
        self._to_rebuild = Gauge(
            "gexlake_partitions_to_rebuild",
            "Partitions that the importer has yet to rebuild",
            registry=registry,
        )
        self._feed_pending = Gauge(
            "gexlake_feed_pending", "Live payloads that are not stored in the lake yet", registry=registry
        )
        self._chronox_pending = Gauge(
            "gexlake_chronox_pending",
            "Messages of bars and snapshots that are not stored in the lake yet",
            registry=registry,
        )
        self._broker = Gauge("gexlake_broker_up", "Whether the broker answers", registry=registry)
        self._age = Gauge(
            "gexlake_heartbeat_age_seconds",
            "Seconds since the last heartbeat of a service",
            ("service", "instance"),
            registry=registry,
        )
        self._stream = _StreamGauges(registry)

    def set(self, projection: Projection, broker_state: BrokerState | None, now: datetime) -> None:
        for status, count in jobs_by_state(projection).items():
            self._jobs.labels(status).set(count)
        self._broker.set(broker_state is not None)
        self._queue.clear()
        for (stage, priority), depth in (broker_state.queue if broker_state else {}).items():
            self._queue.labels(stage, priority).set(depth)
        unresolved = broker_state.dead_letters if broker_state else None
        self._dead.set(float("nan") if unresolved is None else unresolved)
        to_rebuild = partitions_to_rebuild(projection)
        self._to_rebuild.set(float("nan") if to_rebuild is None else to_rebuild)
        pending = broker_state.feed_pending if broker_state else None
        self._feed_pending.set(float("nan") if pending is None else pending)
        pending = broker_state.chronox_pending if broker_state else None
        self._chronox_pending.set(float("nan") if pending is None else pending)
        self._age.clear()
        for beat in projection.heartbeats():
            self._age.labels(beat.service, beat.instance).set((now - beat.at).total_seconds())
        self._stream.set(projection, now)


class _StreamGauges:
    """What the fetcher that follows the vendor's stream has reported last."""

    _TEXTS: Final = {
        "is_subscribed": ("subscribed", "Whether the vendor's stream is followed"),
        "symbols": ("symbols", "Symbols that are to be streamed"),
        "connections": ("connections", "Subscriptions that the vendor has accepted"),
        "bars": ("bars", "Streamed bars"),
        "rejected": ("rejected_bars", "Streamed bars that were not correct"),
        "unknown": ("unknown_events", "Events of the stream of types that are not used"),
        "filled": ("filled_bars", "Bars fetched by REST because the stream may have missed them"),
        "to_fill": ("symbols_to_fill", "Symbols whose missed bars are not fetched yet"),
    }

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            field: Gauge(f"gexlake_stream_{name}", text, ("instance",), registry=registry)
            for field, (name, text) in self._TEXTS.items()
        }
        self._age = Gauge(
            "gexlake_stream_last_bar_age_seconds",
            "Seconds since the last streamed bar",
            ("instance",),
            registry=registry,
        )

    def set(self, projection: Projection, now: datetime) -> None:
        for gauge in (*self._gauges.values(), self._age):
            gauge.clear()
        for beat in projection.heartbeats():
            report = beat.stream
            if report is None or now - beat.at > _REPORTS_COUNT_FOR:
                continue
            for field, gauge in self._gauges.items():
                gauge.labels(beat.instance).set(getattr(report, field))
            if report.last_bar_at is not None:
                self._age.labels(beat.instance).set((now - report.last_bar_at).total_seconds())


class _Starts:
    """When stages were started that have not ended; one that never ends is forgotten in time."""

    def __init__(self) -> None:
        self._at: dict[tuple[UUID, Stage], datetime] = {}

    def note(self, job_id: UUID, stage: Stage, at: datetime) -> None:
        self._at.pop((job_id, stage), None)  # the newest start comes last
        self._at[job_id, stage] = at
        while self._at[oldest := next(iter(self._at))] < at - KEPT_FOR:
            del self._at[oldest]

    def take(self, job_id: UUID, stage: Stage) -> datetime | None:
        return self._at.pop((job_id, stage), None)


class RequestCounter:
    """Counts each answer of ``app`` in ``metrics``, by route template, method and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"])
            await send(message)

        await self._app(scope, receive, counted)

    def _count(self, scope: Scope, status: int) -> None:
        route = getattr(scope.get("route"), "path", _UNMATCHED)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.counted_request(route, method, status)
