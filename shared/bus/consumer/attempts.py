"""How often a stage of a job was tried, counted in EVENTS: the broker's own count is lost with a crash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

from gexlake.api.jobs import Stage
from shared.bus.connection import Bus
from shared.bus.messages import Command, JobFailed, JobStarted
from shared.errors import Terminal

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

    def with_failure(self) -> AttemptCounts:
        """Count an attempt that failed."""
        return replace(self, failures=self.failures + 1)

    def with_deferral(self) -> AttemptCounts:
        """Count an attempt that was deferred."""
        return replace(self, deferrals=self.deferrals + 1)


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

    async def begin(self, command: Command) -> None:
        """Publish that an attempt starts.

        Raises:
            GaveUp: the stage was started too often.
            BrokerUnavailable: no ack in time.
        """
        last = await self._last(JobStarted, command)
        start = last.start + 1 if last else 1
        if start > MAX_STARTS and start - (await self.counts(command)).deferrals > MAX_STARTS:
            raise GaveUp(self._stage, start - 1)
        await self._bus.publish_event(JobStarted(job=command.job, stage=self._stage, start=start))

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
