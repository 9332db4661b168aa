"""Execute jobs whose rows come by Massive's REST API and go to CHRONOX: minute bars and snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import structlog

from gexlake.api.jobs import Priority, Stage
from services.fetcher.download.attempt import Limits
from services.fetcher.errors import CircuitOpenError, SourceTooSlow, SourceUnreachable
from services.fetcher.health.outage import raise_if_gone
from services.fetcher.health.source_health_nats import SourceHealthStore, TrackedRequest
from services.fetcher.massive.decode import BarPage, RejectedBar
from services.fetcher.massive.errors import NoSnapshots, RateLimited, SnapshotsRejected
from services.fetcher.massive.publisher import BarPublisher
from services.fetcher.massive.rate_slots_nats import OTHERS_FIRST, WAIT_S, RateSlots
from services.fetcher.massive.rejects import publish_rejected
from services.fetcher.massive.rest import DayRange, MassiveRest, Received
from services.fetcher.massive.snapshot_limits import SnapshotLimits
from services.fetcher.massive.unknown_fields import UnknownFields
from services.fetcher.sources.response_policy import host_of
from shared.bus.connection import Bus
from shared.bus.consumer.attempts import is_superseded
from shared.bus.messages import FetchFile, Job, RowsPublished
from shared.bus.reports.progress import ProgressReporter
from shared.gexbot.trading_day import NEW_YORK, bounds_ms, trading_day_of
from shared.massive.bars import MINUTE_MS, BarSource
from shared.massive.resources import MinuteBars, Snapshots
from shared.process.failpoints import failpoint

NewRest: TypeAlias = Callable[[Callable[[], Awaitable[None]], Received], MassiveRest]
"""Returns a client that calls these: before each request, and with the size of each chunk."""
_DAY: Final = timedelta(days=1)
_MAX_TURNS: Final = 30
"""A deferred job is tried again after the time of so many calls at the latest: runs queue about 60 jobs,
which then try twice as often as the plan allows calls."""

log = structlog.get_logger(__name__)


class RowJobs:
    """Fetches and publishes rows.

    Args:
        bus: the connection.
        api: the address of REST.
        new_rest: returns a client for one attempt.
        publisher: publishes to CHRONOX.
        slots: the plan's calls a minute.
        health: records the health of the API, as of any source.
        limits: of time and bandwidth.
        snapshot_limits: which snapshots are stored.
        outage_limit: how long a job waits for an API that is down.
    """

    def __init__(
        self,
        bus: Bus,
        api: str,
        new_rest: NewRest,
        publisher: BarPublisher,
        slots: RateSlots,
        health: SourceHealthStore,
        limits: Limits,
        snapshot_limits: SnapshotLimits,
        outage_limit: timedelta,
    ) -> None:
        self._bus = bus
        self._api = api
        self._new_rest = new_rest
        self._publisher = publisher
        self._slots = slots
        self._health = health
        self._limits = limits
        self._snapshot_limits = snapshot_limits
        self._outage_limit = outage_limit
        self.unknown_fields = UnknownFields()

    async def execute(self, command: FetchFile, resource: MinuteBars | Snapshots) -> None:
        """Publish the rows of a resource, then the event.

        Idempotent: after a redelivery, rows are published again unless the event was; equal rows change
        nothing in the lake.

        Raises:
            Terminal: the vendor refuses, or its response cannot be read.
            Transient: a retry may succeed.
        """
        failpoint("fetcher.started")
        job = command.job
        if await _is_done(self._bus, job):
            log.info("rows_already_published")
            return
        started = time.monotonic()
        try:
            counts = await self._fetch(job, resource)
        except (SourceUnreachable, CircuitOpenError) as error:
            raise_if_gone(error, job, self._bus.clock() - self._outage_limit)
            raise
        failpoint("fetcher.rows_published")
        if counts is None or await is_superseded(self._bus, job):
            log.info("job_superseded")
            return
        await self._bus.publish_event(RowsPublished(job=job, counts=counts))
        failpoint("fetcher.event_published")
        elapsed = round(time.monotonic() - started, 3)
        log.info("rows_published", symbol=job.ticker, elapsed=elapsed, **counts)

    async def _fetch(self, job: Job, resource: MinuteBars | Snapshots) -> dict[str, int] | None:
        """Publish the rows; return how many, or None if a newer request superseded this one."""
        attempt = _Attempt(self._bus, job, self._limits, self._slots)
        try:
            with self._limits.bandwidth.fetching(job.priority):
                async with (
                    asyncio.timeout(self._limits.timeout_s) as deadline,
                    self._health.track(self._api) as request,
                ):
                    rest = self._new_rest(attempt.wait_for_turn(request), attempt.received(request))
                    if isinstance(resource, Snapshots):
                        return await self._snapshots(rest, resource)
                    return await self._bars(rest, resource, job)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            what = f"had not sent all after {self._limits.timeout_s:g} s (GEXLAKE_FETCH_TIMEOUT_S)"
            raise SourceTooSlow(host_of(self._api), what) from error

    async def _bars(self, rest: MassiveRest, wanted: MinuteBars, job: Job) -> dict[str, int] | None:
        now = self._bus.clock()
        days = DayRange(wanted.first, wanted.last)
        rejected: list[RejectedBar] = []
        published = 0
        async with aclosing(rest.minute_bars(wanted.symbol, days, adjusted=wanted.adjusted)) as pages:
            async for page in pages:
                published += await self._publish_page(wanted, page, now)
                failpoint("fetcher.page_published")
                rejected += page.rejected
                if page.next_url is not None and await is_superseded(self._bus, job):
                    return None
        if not wanted.adjusted:
            over = DayRange(wanted.first, min(wanted.last, now.astimezone(NEW_YORK).date() - _DAY))
            await self._publisher.complete(wanted.symbol, complete_ranges(over, rejected))
        return {"bars": published}

    async def _publish_page(self, wanted: MinuteBars, page: BarPage, now: datetime) -> int:
        """Publish a page and return how many bars.

        Those of the running day have the rank of the stream (see docs/adr/0054). The minute that ran when the
        request was sent is left out: its bar is not complete.
        """
        self.unknown_fields.count(page.unknown_fields, "minute bars")
        start_ms, _ = bounds_ms(now.astimezone(NEW_YORK).date())
        end_ms = int(now.timestamp() * 1000) - MINUTE_MS
        over = [bar for bar in page.bars if bar.timestamp < start_ms]
        running = [bar for bar in page.bars if start_ms <= bar.timestamp <= end_ms]
        for source, bars in ((BarSource.REST, over), (BarSource.STREAM, running)):
            await self._publisher.history(wanted.symbol, bars, source, adjusted=wanted.adjusted)
        if page.rejected:
            reason = page.rejected[0].reason
            log.warning("bars_rejected", symbol=wanted.symbol, rejected=len(page.rejected), reason=reason)
            await publish_rejected(self._bus, wanted.symbol, page.rejected)
        return len(over) + len(running)

    async def _snapshots(self, rest: MassiveRest, wanted: Snapshots) -> dict[str, int]:
        symbols = wanted.symbols
        page = await (rest.snapshot(symbols[0]) if len(symbols) == 1 else rest.snapshots(symbols))
        self.unknown_fields.count(page.unknown_fields, "snapshots")
        now, rejected, good = self._bus.clock(), dict(page.rejected), []
        for snapshot in page.snapshots:
            if snapshot.symbol not in symbols:
                continue
            if fault := self._snapshot_limits.fault_of(snapshot, now):
                rejected[snapshot.symbol] = fault
            else:
                good.append(snapshot)
        for symbol, reason in rejected.items():
            log.warning("snapshot_rejected", symbol=symbol, reason=reason)
        if not good:
            raise _no_snapshots(host_of(self._api), symbols, rejected)
        await self._publisher.snapshots(good)
        return {"snapshots": len(good)}


class _Attempt:
    """What the requests of one attempt at a job have in common."""

    def __init__(self, bus: Bus, job: Job, limits: Limits, slots: RateSlots) -> None:
        self._priority = job.priority
        self._limits = limits
        self._slots = slots
        self._progress = ProgressReporter(bus, job, Stage.FETCH)
        self._received_bytes = 0

    def wait_for_turn(self, request: TrackedRequest) -> Callable[[], Awaitable[None]]:
        """Return what waits for the plan's permission of the next call.

        The jobs of a backfill do not wait in a slot of the worker, which others may use. Each attempt leaves
        events, so the delay grows with the queue of jobs, and with it the time between their attempts.
        """

        async def wait() -> None:
            try:
                await self._slots.wait(0.0 if self._priority is Priority.LOW else WAIT_S)
            except RateLimited as error:
                max_delay_s = _MAX_TURNS * (error.retry_after_s or 1.0)
                raise RateLimited(OTHERS_FIRST, max_retry_delay_s=max_delay_s) from error
            request.restart_timer()

        return wait

    def received(self, request: TrackedRequest) -> Received:
        """Return what is called for each chunk of a response."""

        async def received(size_bytes: int) -> None:
            await request.record_response()
            self._received_bytes += size_bytes
            await self._limits.bandwidth.take(size_bytes, self._priority)
            await self._progress.report(self._received_bytes, None)

        return received


def complete_ranges(days: DayRange, rejected: Sequence[RejectedBar]) -> Iterator[DayRange]:
    """Yield the parts of a range in which every bar of the vendor is stored.

    Args:
        days: for which the vendor has answered; empty if the first is after the last.
        rejected: bars that are not stored; one whose time cannot be read may be of any day.
    """
    times = [bar.timestamp for bar in rejected]
    if None in times:
        return
    gaps = {trading_day_of(timestamp) for timestamp in times if timestamp is not None}
    first = days.first
    for day in (*sorted(gap for gap in gaps if days.first <= gap <= days.last), days.last + _DAY):
        if first < day:
            yield DayRange(first, day - _DAY)
        first = day + _DAY


def _no_snapshots(host: str, symbols: Sequence[str], rejected: dict[str, str]) -> Exception:
    what = symbols[0] if len(symbols) == 1 else f"{symbols[0]} and {len(symbols) - 1} more symbols"
    if not rejected:
        return NoSnapshots(host, what)
    symbol, reason = next(iter(rejected.items()))
    return SnapshotsRejected(symbol, reason)


async def _is_done(bus: Bus, job: Job) -> bool:
    """Return whether the rows of this generation of the job were published."""
    last = await bus.last_event(RowsPublished, job.job_id)
    return last is not None and (last.job.generation, last.job.requested_at) == (
        job.generation,
        job.requested_at,
    )
