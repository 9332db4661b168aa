"""How often a stage of a job was tried, counted in EVENTS: the broker's own count is lost with a crash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

from shared.bus.connection import Bus
from shared.bus.messages import Command, JobFailed, JobStarted
from shared.bus.subjects import Stage
from shared.errors import Terminal

MAX_STARTS: Final = 30
"""A message that was taken up this often without an end is given up on."""
_LEAST_PAUSE_S: Final = 0.1
_PAUSE_DOUBLES_AT_MOST: Final = 20
F = TypeVar("F", JobStarted, JobFailed)


@dataclass(frozen=True)
class Retries:
    """When to try again and when to give up."""

    max_attempts: int
    delay_s: float
    max_retry_after_s: float = 300.0
    """A longer pause is not made, whatever somebody else asks for."""

    def after(self, failures: int, asked_s: float | None = None) -> float | None:
        """Return the pause in seconds after the ``failures``-th failed attempt, or None to give up.

        Args:
            failures: how many there were.
            asked_s: which pause was asked for, if one was; it is not made shorter than ours.
        """
        if failures >= self.max_attempts:
            return None
        return max(self.delay_s * 2.0 ** (failures - 1), min(asked_s or 0.0, self.max_retry_after_s))

    def after_waiting(self, waits: int, longest_s: float) -> float:
        """Return the pause in seconds after the ``waits``-th attempt that was put off; it never gives up."""
        doubled = 2.0 ** min(waits - 1, _PAUSE_DOUBLES_AT_MOST)
        return min(longest_s, max(self.delay_s, _LEAST_PAUSE_S) * doubled)


@dataclass(frozen=True)
class Tally:
    """How the attempts of a stage have ended."""

    failures: int = 0
    waits: int = 0
    """Attempts that found a disk or a stream full; they do not count."""

    def with_failure(self) -> Tally:
        """Count an attempt that failed."""
        return replace(self, failures=self.failures + 1)

    def with_wait(self) -> Tally:
        """Count an attempt that was put off."""
        return replace(self, waits=self.waits + 1)


class GaveUp(Terminal):
    """A stage was started again and again, and neither ended nor failed.

    Args:
        stage: which stage.
        starts: how often it was taken up.
    """

    def __init__(self, stage: Stage, starts: int) -> None:
        super().__init__(f"the {stage} was started {starts} times and never ended: look at its worker's logs")


class Attempts:
    """Counts the attempts of one stage, for each generation of a job anew."""

    def __init__(self, bus: Bus, stage: Stage) -> None:
        self._bus = bus
        self._stage = stage

    async def begin(self, command: Command) -> None:
        """Announce that the stage is taken up.

        Raises:
            GaveUp: it was too often.
            BrokerUnavailable: no ack in time.
        """
        last = await self._last(JobStarted, command)
        start = last.start + 1 if last else 1
        if start > MAX_STARTS and start - (await self.tally(command)).waits > MAX_STARTS:
            raise GaveUp(self._stage, start - 1)
        await self._bus.publish_event(JobStarted(job=command.job, stage=self._stage, start=start))

    async def tally(self, command: Command) -> Tally:
        """Count how the attempts until now have ended.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        last = await self._last(JobFailed, command)
        return Tally(last.failures, last.waits) if last else Tally()

    async def is_given_up(self, command: Command) -> bool:
        """Tell whether the last attempt was told as final, but the broker did not hear of it."""
        last = await self._last(JobFailed, command)
        return last is not None and last.final

    async def _last(self, kind: type[F], command: Command) -> F | None:
        fact = await self._bus.last_event(kind, command.job.job_id)
        same = fact is not None and (fact.stage, fact.job.generation, fact.job.requested_at) == (
            self._stage,
            command.job.generation,
            command.job.requested_at,
        )
        return fact if same else None
