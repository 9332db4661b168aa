"""A durable pull consumer in virtual time, in the order in which nats-server 2.15 delivers."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from gexlake.api.jobs import Priority
from shared.bus.consumer.scheduling import deadline_s


@dataclass(slots=True)
class SimulatedJob:
    """One job, and what became of it."""

    number: int
    priority: Priority
    requested_s: float
    source: int
    fetch_s: float
    import_s: float
    fetched_s: float = 0.0
    imported_s: float = 0.0
    imports: int = 0
    failures: int = 0
    was_disturbed: bool = False
    """Whether a failure, a source that is down or a restart delayed it."""
    deadline_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline_s = deadline_s(self.priority, self.requested_s)

    @property
    def waited_s(self) -> float:
        """From the request to the import."""
        return self.imported_s - self.requested_s


class SimulatedConsumer:
    """Delivers what was returned first, in the order of its return, then new messages in stream order."""

    def __init__(self) -> None:
        self._new: deque[SimulatedJob] = deque()
        self._returned: deque[SimulatedJob] = deque()
        self._delayed: list[tuple[float, int, SimulatedJob]] = []

    def publish(self, job: SimulatedJob) -> None:
        """Take a message."""
        self._new.append(job)

    def give_back(self, job: SimulatedJob) -> None:
        """Take a message back at once (nak)."""
        self._returned.append(job)

    def drop_returned(self) -> list[SimulatedJob]:
        """Return the messages that were taken back at once, which a restarted broker delivers late."""
        dropped = sorted(self._returned, key=lambda job: job.number)
        self._returned.clear()
        return dropped

    def delay(self, job: SimulatedJob, until_s: float) -> None:
        """Take a message back for later (nak with a delay, or the end of ``ack_wait``)."""
        heapq.heappush(self._delayed, (until_s, job.number, job))

    @property
    def ready(self) -> Iterator[SimulatedJob]:
        """The messages that a pull may get now."""
        return chain(self._returned, self._new)

    def pull(self, now_s: float, batch: int) -> list[SimulatedJob]:
        """Return the next messages that there are, at most ``batch``."""
        while self._delayed and self._delayed[0][0] <= now_s:
            self._returned.append(heapq.heappop(self._delayed)[2])
        pulled: list[SimulatedJob] = []
        for queue in (self._returned, self._new):
            while queue and len(pulled) < batch:
                pulled.append(queue.popleft())
        return pulled
