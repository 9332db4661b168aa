"""Metrics for Prometheus, and the middleware that counts requests; one registry per app, nothing global."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.intake.projection import Projection
from services.intake.status import BrokerFacts, jobs_by_state
from shared.messages import Event, FileStaged, JobFailed, JobSkipped, JobStarted, PartitionImported
from shared.subjects import Stage

_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts requests and events as they come; gauges are read when somebody asks.

    Events of the time before the start are not counted, only those that come while intake runs.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "gexlake_http_requests",
            "HTTP requests by route, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._fetched = Counter("gexlake_fetched_bytes", "Bytes of staged files", registry=self.registry)
        self._imported = Counter(
            "gexlake_imported_rows", "Rows imported, by table", ("table",), registry=self.registry
        )
        self._stage_seconds = Histogram(
            "gexlake_stage_seconds",
            "Seconds from the last start of a stage to its end",
            ("stage", "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._jobs = Gauge("gexlake_jobs", "Jobs of the last 30 days", ("state",), registry=self.registry)
        self._queue = Gauge(
            "gexlake_queue_depth",
            "Commands that wait or are in hand",
            ("stage", "priority"),
            registry=self.registry,
        )
        self._dead = Gauge("gexlake_dead_letters", "Dead letters", (), registry=self.registry)
        self._broker = Gauge("gexlake_broker_up", "Whether the broker answers", registry=self.registry)
        self._age = Gauge(
            "gexlake_heartbeat_age_seconds",
            "Seconds since the last heartbeat of a service",
            ("service", "instance"),
            registry=self.registry,
        )
        self._started: dict[tuple[UUID, Stage], datetime] = {}

    def counted_request(self, route: str, method: str, status: int) -> None:
        """Count one answered request."""
        self._requests.labels(route, method, str(status)).inc()

    def saw(self, event: Event, at: datetime, *, live: bool) -> None:
        """Count what an event tells."""
        match event:
            case JobStarted():
                self._started[event.job.job_id, event.stage] = at
            case FileStaged():
                self._ended(event, Stage.FETCH, "done", at, live=live)
                if live:
                    self._fetched.inc(event.size_bytes)
            case PartitionImported():
                self._ended(event, Stage.IMPORT, "done", at, live=live)
                if live:
                    self._imported.labels("gex_snapshots").inc(event.snapshots)
                    self._imported.labels("gex_strikes").inc(event.strike_rows)
            case JobSkipped():
                self._ended(event, Stage.IMPORT, "skipped", at, live=live)
            case JobFailed():
                self._ended(event, event.stage, "failed", at, live=live)

    def expose(self, projection: Projection, facts: BrokerFacts | None, now: datetime) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for status, count in jobs_by_state(projection).items():
            self._jobs.labels(status).set(count)
        self._broker.set(facts is not None)
        self._queue.clear()
        for (stage, priority), depth in (facts.queue if facts else {}).items():
            self._queue.labels(stage, priority).set(depth)
        self._dead.set(facts.dead_letters if facts else float("nan"))
        self._age.clear()
        for beat in projection.heartbeats():
            self._age.labels(beat.service, beat.instance).set((now - beat.at).total_seconds())
        return generate_latest(self.registry)

    def _ended(self, event: Event, stage: Stage, outcome: str, at: datetime, *, live: bool) -> None:
        started_at = self._started.pop((event.job.job_id, stage), None)
        if live and started_at is not None:
            self._stage_seconds.labels(stage, outcome).observe(max(0.0, (at - started_at).total_seconds()))


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
