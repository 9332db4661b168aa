"""Which dead letters are unresolved: no one has replayed their job, and it has not completed since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gexlake.api.jobs import Status
from services.intake.state.projection import Projection
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.envelope import decode
from shared.bus.follower import Followed, follow
from shared.bus.messages import Command, Job
from shared.errors import MalformedMessage
from shared.job_states import KEPT_FOR

_SUCCEEDED: Final = frozenset({Status.COMPLETED, Status.SKIPPED})


@dataclass(frozen=True)
class StoredLetters:
    """Which messages DEAD holds; people may remove some."""

    first_seq: int
    last_seq: int
    messages: int
    removed: frozenset[int]

    def has(self, sequence: int) -> bool:
        """Return whether a message is there."""
        return self.first_seq <= sequence <= self.last_seq and sequence not in self.removed


@dataclass(frozen=True)
class _Letter:
    job: Job | None
    """None for a message that is no command of this version."""
    at: datetime | None


class DeadLetters:
    """Every dead letter, followed in DEAD; kept in memory only.

    Args:
        projection: the jobs.
        clock: the present moment.
    """

    def __init__(self, projection: Projection, clock: Callable[[], datetime]) -> None:
        self._projection = projection
        self._clock = clock
        self._letters: dict[int, _Letter] = {}
        self._is_read = False

    async def follow(self, bus: Bus) -> None:
        """Take in DEAD, from the first message to those that come, forever."""
        async for message in follow(bus, subjects.DEAD, subjects.ALL_DEAD_LETTERS):
            self.take(message)

    def take(self, message: Followed) -> None:
        """Take in one message of DEAD."""
        if message.data is None:
            self._is_read = True
        else:
            self._letters[message.sequence] = _Letter(_job_in(message.data), message.at)

    def unresolved(self, stored: StoredLetters) -> int | None:
        """Count the letters that still need a person; None until all of them and all jobs are known."""
        if not (self._is_read and self._projection.is_rebuilt):
            return None
        # Those that DEAD has dropped are of no more use.
        self._letters = {number: letter for number, letter in self._letters.items() if stored.has(number)}
        return sum(not self._is_resolved(letter) for letter in self._letters.values())

    def _is_resolved(self, letter: _Letter) -> bool:
        state = self._projection.job(letter.job.job_id) if letter.job else None
        if letter.job is None or state is None:
            # Nothing is known of jobs whose last event is older than this, so they cannot stay open.
            return letter.at is not None and letter.at < self._clock() - KEPT_FOR
        return letter.job.is_older_than(state.job) or state.status in _SUCCEEDED


def _job_in(data: bytes) -> Job | None:
    try:
        payload = decode(subjects.DEAD, data).open(subjects.DEAD)
    except MalformedMessage:
        return None
    return payload.job if isinstance(payload, Command) else None
