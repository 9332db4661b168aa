"""The records of sources, in a stream that all fetchers share: asked before a request, told after it.

A record is changed by compare-and-set: it is written only if nobody else has written it since it was read,
and read again otherwise. So no number is lost, and of all fetchers exactly one tries a source again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import structlog
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from pydantic import ValidationError

from services.fetcher.errors import CircuitOpenError, SourceUnavailable
from services.fetcher.health.circuit_breaker import (
    Ask,
    BreakerRules,
    CircuitOpen,
    after_a_failure,
    after_a_success,
    after_an_answer,
    may_ask,
    without_probe,
)
from services.fetcher.health.source_outcomes import Outcome, counted, outcome_of
from services.fetcher.sources.source import Body, Held, Source
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable
from shared.sources.record import SourceRecord, origin_of

_TRIES: Final = 50
"""Each time that a writer is overtaken another one got through, so that as many writers as this all do."""

Change = Callable[[SourceRecord], SourceRecord]
log = structlog.get_logger(__name__)


class TrackedRequest:
    """One request to a source that is under way.

    Args:
        records: where it is told of.
        base_url: the source; None for one that is not kept book of, a local folder.
        is_probe: whether it tries a source that was left alone.
    """

    def __init__(self, records: SourceHealthStore, base_url: str | None, *, is_probe: bool = False) -> None:
        self._records = records
        self._base_url = base_url
        self._is_probe = is_probe
        self._started = time.monotonic()
        self._response_s: float | None = None

    def begins(self) -> None:
        """Time the request from here: what was before it, was waiting of our own."""
        self._started = time.monotonic()

    async def answered(self) -> None:
        """Take note that the source has begun to answer; only the first time counts."""
        if self._response_s is not None:
            return
        self._response_s = time.monotonic() - self._started
        if self._is_probe and self._base_url is not None:
            self._is_probe = False
            await self._records.change(
                self._base_url, lambda record: after_an_answer(record, self._records.rules)
            )

    async def ended(self, error: BaseException | None) -> None:
        """Take note of how the request ended.

        Raises:
            SourceLeftAlone: it tried the source, for all, and got no answer: that is to cost no attempt.
        """
        outcome = outcome_of(error)
        if self._base_url is None or (outcome is None and not self._is_probe):
            return
        response_s = time.monotonic() - self._started if self._response_s is None else self._response_s

        def noted(record: SourceRecord) -> SourceRecord:
            if outcome is None:
                return without_probe(record)
            now = self._records.now()
            record = counted(record, outcome, now, response_s, None if error is None else str(error))
            if outcome is not Outcome.FAILED:
                return after_a_success(record)
            return after_a_failure(record, now, self._records.rules, was_probe=self._is_probe)

        after = await self._records.change(self._base_url, noted)
        # Of an answer, such as 503, nobody knows whether it is the source's or this one file's.
        if self._is_probe and isinstance(error, SourceUnavailable) and after is not None:
            self._records.verdict_on(after)


class TrackedSource:
    """A source that takes note of its first answer within one request.

    Args:
        source: what is asked.
        asking: hears of it.
    """

    def __init__(self, source: Source, asking: TrackedRequest) -> None:
        self._source = source
        self._asking = asking

    @asynccontextmanager
    async def open(self, url: str, held: Held | None = None) -> AsyncIterator[Body]:
        """Ask for a file, or for the rest of it."""
        async with self._source.open(url, held) as body:
            await self._asking.answered()
            yield body


class SourceHealthStore:
    """What is known of all sources.

    Args:
        bus: the connection.
        rules: when a source is left alone.
    """

    def __init__(self, bus: Bus, rules: BreakerRules) -> None:
        self.rules = rules
        self._bus = bus
        # The stream is older than the naming of buckets (KV_…), so the bucket is put over it by hand.
        self._store = KeyValue(subjects.SOURCES, subjects.SOURCES, "", bus.js, direct=False)

    def now(self) -> datetime:
        """Return the present moment (UTC)."""
        return self._bus.clock()

    def verdict_on(self, record: SourceRecord) -> Ask:
        """Return how a source may be asked now, by its record.

        Raises:
            SourceLeftAlone: it is not to be asked.
        """
        now = self.now()
        verdict = may_ask(record, now, self.rules)
        if isinstance(verdict, CircuitOpen):
            raise CircuitOpenError(record, now, verdict.until, is_tried=verdict.is_tried)
        return verdict

    @asynccontextmanager
    async def asking(self, url: str) -> AsyncIterator[TrackedRequest]:
        """Ask the source of ``url`` within this context; how that ends is noted.

        Raises:
            SourceLeftAlone: it is not to be asked now, or this request tried it in vain.
            BrokerUnavailable: no answer in time.
        """
        base_url = origin_of(url)
        asking = TrackedRequest(
            self, base_url, is_probe=base_url is not None and await self._is_probe(base_url)
        )
        try:
            yield asking
        except (Exception, asyncio.CancelledError) as error:
            await asking.ended(error)
            raise
        await asking.ended(None)

    async def check(self, base_url: str) -> None:
        """Refuse if a source is not to be asked now; whether a request tries it is not decided here.

        Raises:
            SourceLeftAlone: it has failed again and again.
            BrokerUnavailable: no answer in time.
        """
        record, _ = await self._read(base_url)
        self.verdict_on(record)

    async def change(self, base_url: str, change: Change) -> SourceRecord | None:
        """Change a record, and return it as it is then.

        A broker that is gone by now costs the numbers of this request, not its file: then None is returned.
        """
        try:
            for _ in range(_TRIES):
                before, revision = await self._read(base_url)
                if await self._write(after := change(before), revision):
                    self._tell(before, after)
                    return after
        except BrokerUnavailable as error:
            log.warning("source_not_recorded", source=base_url, error=str(error))
        else:
            log.warning("source_not_recorded", source=base_url, error=f"overtaken {_TRIES} times")
        return None

    async def _is_probe(self, base_url: str) -> bool:
        """Tell whether the request that may be made now is the one that tries the source.

        Raises:
            SourceLeftAlone: none may be made.
        """
        while True:
            record, revision = await self._read(base_url)
            claim = self.verdict_on(record).claim
            if claim is None:
                return False
            if await self._write(claim, revision):
                log.info("source_tried_again", source=base_url)
                return True

    async def _read(self, base_url: str) -> tuple[SourceRecord, int]:
        """Return the record of a source, a blank one if there is none, and its place in the stream."""
        with translate_errors(f"read {subjects.SOURCES}"):
            try:
                entry = await self._store.get(subjects.source(base_url))
            except KeyNotFoundError:
                return SourceRecord(base_url=base_url), 0
        try:
            return SourceRecord.model_validate_json(entry.value or b""), entry.revision or 0
        except ValidationError as error:  # of a later version: begun anew
            log.warning("source_record_unreadable", source=base_url, problems=error.error_count())
            return SourceRecord(base_url=base_url), entry.revision or 0

    async def _write(self, record: SourceRecord, revision: int) -> bool:
        """Write a record; False if somebody has written it since ``revision``."""
        with translate_errors(f"write {subjects.SOURCES}", subjects.SOURCES):
            try:
                await self._store.update(
                    subjects.source(record.base_url), record.model_dump_json().encode(), last=revision
                )
            except KeyWrongLastSequenceError:
                return False
        return True

    def _tell(self, before: SourceRecord, after: SourceRecord) -> None:
        """Log what everybody should know: a source that is given up on, or is back."""
        if after.open_until is not None and after.openings > before.openings:
            log.warning(
                "source_left_alone",
                source=after.base_url,
                failures_in_a_row=after.failures_in_a_row,
                until=after.open_until.isoformat(timespec="seconds"),
                error=after.last_error,
            )
        elif before.openings and not after.openings:
            log.info("source_works_again", source=after.base_url)
