"""How often a stage of a job was tried, counted in EVENTS: the broker's own count is lost with a crash."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import Bus, LastEvent
from shared.bus.messages import Command, Job, JobCancelled, JobFailed, JobReplayed, JobRequested, JobStarted
from shared.errors import SequenceChanged, Terminal

MAX_STARTS: Final = 30
"""A message that was started this often without an outcome fails permanently."""
_MIN_DELAY_S: Final = 0.1
_MAX_DOUBLINGS: Final = 20
F = TypeVar("F", JobStarted, JobFailed)


@dataclass(frozen=True)
class Retries:
    """How often and when a stage is tried again."""

    max_attempts: int
    delay_s: float
    max_retry_after_s: float = 300.0
    """Upper bound of the delay that an error may request."""

    def delay_after_failures(self, failures: int, requested_s: float | None = None) -> float | None:
        """Return the delay in seconds after the ``failures``-th failed attempt, or None when it was the last.

        Args:
            failures: how many attempts have failed.
            requested_s: the delay that the error requests; it may lengthen the delay, never shorten it.
        """
        if failures >= self.max_attempts:
            return None
        return max(self.delay_s * 2.0 ** (failures - 1), min(requested_s or 0.0, self.max_retry_after_s))

    def delay_after_deferrals(self, deferrals: int, max_delay_s: float) -> float:
        """Return the delay in seconds after the ``deferrals``-th deferred attempt; there is no last one."""
        doubled = 2.0 ** min(deferrals - 1, _MAX_DOUBLINGS)
        return min(max_delay_s, max(self.delay_s, _MIN_DELAY_S) * doubled)


@dataclass(frozen=True)
class AttemptCounts:
    """How the attempts of a stage have ended."""

    failures: int = 0
    deferrals: int = 0
    """Attempts that found no room to work in, such as a full disk; they do not count."""
    has_failed_permanently: bool = False
    start: int | None = None
    """The number of the attempt that ends now."""

    def with_failure(self) -> AttemptCounts:
        """Count an attempt that failed."""
        return replace(self, failures=self.failures + 1)

    def with_deferral(self) -> AttemptCounts:
        """Count an attempt that was deferred."""
        return replace(self, deferrals=self.deferrals + 1)


@dataclass(frozen=True)
class StageRecord:
    """What EVENTS holds about a command before it is executed."""

    counts: AttemptCounts
    starts: int
    """How often the stage was started."""
    last_cancelled: LastEvent
    """The job's last cancellation, of whatever generation."""
    obsolete: str | None = None
    """Why the command is not executed any more: ``job_superseded`` or ``job_cancelled``."""


class GaveUp(Terminal):
    """A stage was started too often without an outcome; its process probably dies each time.

    Args:
        stage: which stage.
        starts: how often it was started.
    """

    def __init__(self, stage: Stage, starts: int) -> None:
        super().__init__(
            f"the {stage} was started {starts} times and neither completed nor failed: see its worker's log"
        )


class Attempts:
    """Counts the attempts of one stage, separately for each generation of a job."""

    def __init__(self, bus: Bus, stage: Stage) -> None:
        self._bus = bus
        self._stage = stage

    async def read(self, command: Command) -> StageRecord:
        """Return what is known of a command, in one round trip.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        job = command.job
        cancelled_subject = subjects.event(JobCancelled.EVENT_TYPE, job.job_id)
        superseded, last_cancelled, counts, started = await asyncio.gather(
            is_superseded(self._bus, job),
            self._bus.read_last(cancelled_subject),
            self.counts(command),
            self._last(JobStarted, command),
        )
        obsolete = None
        if superseded:
            obsolete = "job_superseded"
        elif _cancels(last_cancelled, job):
            obsolete = "job_cancelled"
        return StageRecord(
            counts=counts,
            starts=started.start if started else 0,
            last_cancelled=last_cancelled,
            obsolete=obsolete,
        )

    async def begin(self, command: Command, record: StageRecord) -> StageRecord:
        """Publish that an attempt starts, unless the command has become obsolete.

        The broker refuses the start of an attempt once the job was cancelled, and a cancellation once an
        attempt was started: see docs/adr/0049.

        Args:
            command: what is attempted.
            record: what was read of it.

        Returns:
            The newest record, with this attempt among its starts; if it is obsolete, nothing was started.

        Raises:
            GaveUp: the stage was started too often.
            BrokerUnavailable: no ack in time.
        """
        while record.obsolete is None:
            start = record.starts + 1
            if start > MAX_STARTS and start - record.counts.deferrals > MAX_STARTS:
                raise GaveUp(self._stage, start - 1)
            event = JobStarted(job=command.job, stage=self._stage, start=start)
            try:
                ack = await self._bus.publish_event(event, last=record.last_cancelled)
            except SequenceChanged:
                record = await self.read(command)
                continue
            if not ack.duplicate:
                return replace(record, starts=start)
            # Another delivery of the command published this start, and the end of that attempt ends it.
            record = await self.read(command)
            record = replace(record, starts=max(record.starts, start))
        return record

    async def counts(self, command: Command) -> AttemptCounts:
        """Return how the attempts so far have ended.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        last = await self._last(JobFailed, command)
        return AttemptCounts(last.failures, last.waits, last.final) if last else AttemptCounts()

    async def _last(self, event_type: type[F], command: Command) -> F | None:
        event = await self._bus.last_event(event_type, command.job.job_id)
        same = event is not None and (event.stage, event.job.generation, event.job.requested_at) == (
            self._stage,
            command.job.generation,
            command.job.requested_at,
        )
        return event if same else None


async def is_superseded(bus: Bus, job: Job) -> bool:
    """Return whether a later request or replay has replaced this generation of the job.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    requests = await asyncio.gather(
        *(bus.last_event(kind, job.job_id) for kind in (JobRequested, JobReplayed))
    )
    return any(event is not None and job.is_older_than(event.job) for event in requests)


def _cancels(last: LastEvent, job: Job) -> bool:
    """Return whether a cancellation ends this generation of the job.

    A later generation that was requested before the cancellation is ended too: intake was killed before it
    could announce that request, so the client that cancelled the job did not know it.
    """
    if last.content is None:
        return False
    event, cancelled_at = last.content
    return not event.job.is_older_than(job) or job.requested_at < cancelled_at
