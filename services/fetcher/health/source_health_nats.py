"""Health records of sources in a stream that all fetchers share: read before a request, updated after it.

A record is changed by compare-and-set: it is written only if its revision is still the one that was read, and
read again otherwise. So no count is lost, and exactly one request of all fetchers probes a source.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from services.fetcher.errors import CircuitOpenError, SourceDeactivated, SourceUnavailable, SourceUnreachable
from services.fetcher.health.circuit_breaker import (
    BreakerRules,
    CircuitOpen,
    RequestAllowed,
    after_failure,
    after_response,
    after_success,
    decide,
    without_probe,
)
from services.fetcher.health.source_outcomes import Outcome, count_request, outcome_of
from services.fetcher.sources.source import Body, ResumePoint, Source
from shared.bus.connection import Bus
from shared.errors import BrokerUnavailable
from shared.sources.record import SourceRecord, origin_of
from shared.sources.record_store import WRITE_TRIES, SourceRecords

Change = Callable[[SourceRecord], SourceRecord]
log = structlog.get_logger(__name__)


class TrackedRequest:
    """A running request to a source.

    Args:
        store: where its outcome is recorded.
        base_url: the source; None for a local folder, which has no record.
        is_probe: whether it is the probe of a half-open circuit.
    """

    def __init__(self, store: SourceHealthStore, base_url: str | None, *, is_probe: bool = False) -> None:
        self._store = store
        self._base_url = base_url
        self._is_probe = is_probe
        self._started = time.monotonic()
        self._response_s: float | None = None

    def restart_timer(self) -> None:
        """Measure the response time from now on, without earlier waits."""
        self._started = time.monotonic()

    async def record_response(self) -> None:
        """Record the start of the response; only the first call counts."""
        if self._response_s is not None:
            return
        self._response_s = time.monotonic() - self._started
        if self._is_probe and self._base_url is not None:
            self._is_probe = False
            await self._store.change(self._base_url, lambda record: after_response(record, self._store.rules))

    async def record_outcome(self, error: BaseException | None) -> None:
        """Record how the request ended.

        Raises:
            CircuitOpenError: it was the probe and got no response, which uses no attempt of the job.
        """
        outcome = outcome_of(error)
        if self._base_url is None or (outcome is None and not self._is_probe):
            return
        response_s = time.monotonic() - self._started if self._response_s is None else self._response_s

        def noted(record: SourceRecord) -> SourceRecord:
            if outcome is None:
                return without_probe(record)
            now = self._store.now()
            record = count_request(record, outcome, now, response_s, None if error is None else str(error))
            if outcome is not Outcome.FAILED:
                return after_success(record)
            return after_failure(record, now, self._store.rules, was_probe=self._is_probe)

        after = await self._store.change(self._base_url, noted)
        if isinstance(error, SourceUnreachable) and after is not None:
            error.failing_since = after.failing_since
        # A response such as 503 may concern only this file, so it uses an attempt.
        if self._is_probe and isinstance(error, SourceUnavailable) and after is not None:
            self._store.check_record(after)


class TrackedSource:
    """A source that records its first response for one request.

    Args:
        source: opens the URLs.
        request: records the response.
    """

    def __init__(self, source: Source, request: TrackedRequest) -> None:
        self._source = source
        self._request = request

    @asynccontextmanager
    async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:
        """Open a file, or the rest of it."""
        async with self._source.open(url, resume_from) as body:
            await self._request.record_response()
            yield body


class SourceHealthStore:
    """The health records of all sources.

    Args:
        bus: the connection.
        rules: when a circuit opens.
    """

    def __init__(self, bus: Bus, rules: BreakerRules) -> None:
        self.rules = rules
        self._bus = bus
        self._records = SourceRecords(bus)

    def now(self) -> datetime:
        """Return the current time (UTC)."""
        return self._bus.clock()

    def check_record(self, record: SourceRecord) -> RequestAllowed:
        """Return the permission to request a source, by its record.

        Raises:
            CircuitOpenError: its circuit is open.
            SourceDeactivated: a client has deactivated it.
        """
        now = self.now()
        if record.deactivated_at is not None:
            raise SourceDeactivated(record, record.deactivated_at)
        decision = decide(record, now, self.rules)
        if isinstance(decision, CircuitOpen):
            raise CircuitOpenError(record, now, decision.until, is_tried=decision.is_tried)
        return decision

    @asynccontextmanager
    async def track(self, url: str) -> AsyncIterator[TrackedRequest]:
        """Track a request to the source of ``url`` within this context, and record its outcome.

        Raises:
            CircuitOpenError: the circuit is open, or this request was the probe and got no response.
            SourceDeactivated: a client has deactivated the source.
            BrokerUnavailable: the broker did not reply in time.
        """
        base_url = origin_of(url)
        request = TrackedRequest(
            self, base_url, is_probe=base_url is not None and await self._is_probe(base_url)
        )
        try:
            yield request
        except (Exception, asyncio.CancelledError) as error:
            await request.record_outcome(error)
            raise
        await request.record_outcome(None)

    async def check(self, base_url: str) -> None:
        """Check that a source may be requested now, without claiming a probe.

        Raises:
            CircuitOpenError: its circuit is open.
            SourceDeactivated: a client has deactivated it.
            BrokerUnavailable: the broker did not reply in time.
        """
        record, _ = await self._records.read(base_url)
        self.check_record(record)

    async def change(self, base_url: str, change: Change) -> SourceRecord | None:
        """Change a record and return it; None if the broker is unavailable.

        The counts of the request are then lost, but its file is not.
        """
        try:
            for _ in range(WRITE_TRIES):
                before, revision = await self._records.read(base_url)
                if await self._records.write(after := change(before), revision):
                    _log_transition(before, after)
                    return after
        except BrokerUnavailable as error:
            log.warning("source_not_recorded", source=base_url, error=str(error))
        else:
            log.warning("source_not_recorded", source=base_url, error=f"{WRITE_TRIES} write conflicts")
        return None

    async def _is_probe(self, base_url: str) -> bool:
        """Return whether the next request is the probe of the source.

        Raises:
            CircuitOpenError: no request may be made.
            SourceDeactivated: a client has deactivated the source.
        """
        while True:
            record, revision = await self._records.read(base_url)
            claim = self.check_record(record).claim
            if claim is None:
                return False
            if await self._records.write(claim, revision):
                log.info("source_probe_started", source=base_url)
                return True


def _log_transition(before: SourceRecord, after: SourceRecord) -> None:
    if after.open_until is not None and after.openings > before.openings:
        log.warning(
            "source_circuit_opened",
            source=after.base_url,
            failures_in_a_row=after.failures_in_a_row,
            until=after.open_until.isoformat(timespec="seconds"),
            error=after.last_error,
        )
    elif before.openings and not after.openings:
        log.info("source_circuit_closed", source=after.base_url)
