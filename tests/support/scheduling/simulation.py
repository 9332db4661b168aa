"""Both stages of all jobs in virtual time, with slots, failures, and restarts of workers and broker."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from random import Random
from typing import Any

from gexlake.api.jobs import Priority
from shared.bus.consumer.scheduling import URGENT_FIRST, WINDOW, by_deadline, choose
from tests.support.scheduling.consumer import SimulatedConsumer, SimulatedJob

ACK_WAIT_S = 30.0
_RETRY_S = 5.0
_DEFERRAL_S = 60.0
_LOOK_S = 0.05
"""How long it takes to find that a source is down, or that work is done already."""
BROKER_DOWN_S = 10.0


@dataclass(frozen=True)
class Incidents:
    """What goes wrong.

    Args:
        failing: share of the fetches that fail and are tried again.
        outages: start, end and source of each time that a source is down.
        restarts: when all workers die at once.
        broker_restarts: when the broker dies; it is back after ten seconds. Work that ends until then is
            delivered again, and so are messages that were returned, after ``ack_wait``.
    """

    failing: float = 0.0
    outages: Sequence[tuple[float, float, int]] = ()
    restarts: Sequence[float] = ()
    broker_restarts: Sequence[float] = ()

    def is_down(self, source: int, now_s: float) -> bool:
        """Return whether a source is down."""
        return any(start <= now_s < end and source == down for start, end, down in self.outages)


@dataclass
class Stage:
    """The workers of one stage, and what they did.

    Args:
        slots: how many jobs run at once.
    """

    slots: int
    waiting: dict[Priority, SimulatedConsumer] = field(
        default_factory=lambda: {priority: SimulatedConsumer() for priority in Priority}
    )
    running: dict[int, SimulatedJob] = field(default_factory=dict)
    passed_over: int = 0
    turns: list[Priority] = field(default_factory=list)
    """Who got each turn while LOW work waited for it."""
    inversions: Counter[int] = field(default_factory=Counter)
    """How often each job waited for one of a later deadline and lower level, apart from LOW's turns."""

    def take(self, now_s: float) -> SimulatedJob | None:
        """Return what a free slot works on next."""
        free = self.slots - len(self.running)
        if free < 1:
            return None
        windows = {
            priority: by_deadline(consumer.pull(now_s, WINDOW), lambda job: job.deadline_s)
            for priority, consumer in self.waiting.items()
        }
        heads = {priority: window[0].deadline_s for priority, window in windows.items() if window}
        turn = choose(heads, now_s, free_slots=free, slots=self.slots, passed_over=self.passed_over)
        taken = windows[turn.priority].pop(0) if turn else None
        for priority, window in windows.items():
            for job in window:
                self.waiting[priority].give_back(job)
        if turn is not None and taken is not None:
            if Priority.LOW in heads and (free > 1 or self.slots == 1):
                self.turns.append(turn.priority)
            is_turn_of_low = turn.priority is Priority.LOW and turn.passed_over == 0
            if not is_turn_of_low:
                self._note_inversions(taken)
            self.passed_over = turn.passed_over
        return taken

    def _note_inversions(self, taken: SimulatedJob) -> None:
        for priority in URGENT_FIRST[: URGENT_FIRST.index(taken.priority)]:
            for job in self.waiting[priority].ready:
                if job.deadline_s < taken.deadline_s:
                    self.inversions[job.number] += 1


class Step(Enum):
    """What happens to a job."""

    REQUESTED = auto()
    """Just before it is queued."""
    FETCH_STARTED = auto()
    FETCHED = auto()
    IMPORT_STARTED = auto()
    IMPORTED = auto()


class Simulation:
    """Runs jobs through a fetch and an import stage, until all are imported.

    Args:
        jobs: in the order of their requests.
        fetchers: slots of the fetch stage.
        importers: slots of the import stage.
        incidents: what goes wrong.
        seed: of the failures.
        observe: called at each step of each job; a fetch that fails has no FETCHED.
    """

    def __init__(
        self,
        jobs: Sequence[SimulatedJob],
        *,
        fetchers: int,
        importers: int,
        incidents: Incidents | None = None,
        seed: int = 0,
        observe: Callable[[Step, SimulatedJob], None] | None = None,
    ) -> None:
        self.jobs = jobs
        self._observe = observe or (lambda _step, _job: None)
        self.fetch, self.imports = Stage(fetchers), Stage(importers)
        self._incidents = incidents or Incidents()
        self._random = Random(seed)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        self._now_s = 0.0
        self._life = 0
        self._broker_back_s = 0.0

    def run(self) -> None:
        """Run until nothing is left to do."""
        for job in self.jobs:
            self._at(job.requested_s, self._request, job)
        for restart_s in self._incidents.restarts:
            self._at(restart_s, self._restart)
        for restart_s in self._incidents.broker_restarts:
            self._at(restart_s, self._restart_broker)
        while self._events:
            self._now_s, _, act, arguments = heapq.heappop(self._events)
            act(*arguments)

    def _at(self, at_s: float, act: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (at_s, next(self._numbers), act, arguments))

    @property
    def now_s(self) -> float:
        """The present moment."""
        return self._now_s

    @property
    def _is_broker_down(self) -> bool:
        return self._now_s < self._broker_back_s

    def _request(self, job: SimulatedJob) -> None:
        if self._is_broker_down:  # the client asks again
            job.was_disturbed = True
            self._at(self._broker_back_s, self._request, job)
            return
        self._observe(Step.REQUESTED, job)
        self.fetch.waiting[job.priority].publish(job)
        self._fill_fetchers()

    def _fill_fetchers(self) -> None:
        while not self._is_broker_down and (job := self.fetch.take(self._now_s)) is not None:
            self.fetch.running[job.number] = job
            self._observe(Step.FETCH_STARTED, job)
            if self._incidents.is_down(job.source, self._now_s):
                self._at(self._now_s + _LOOK_S, self._fetch_ended, job, self._life, _DEFERRAL_S)
            elif self._random.random() < self._incidents.failing:
                delay_s = _RETRY_S * 2**job.failures
                self._at(self._now_s + job.fetch_s / 2, self._fetch_ended, job, self._life, delay_s)
            else:
                self._at(self._now_s + job.fetch_s, self._fetch_ended, job, self._life, None)

    def _fetch_ended(self, job: SimulatedJob, life: int, again_after_s: float | None) -> None:
        if life != self._life:
            return
        del self.fetch.running[job.number]
        if self._is_broker_down:
            self._deliver_again(self.fetch, job, self._fill_fetchers)
        elif again_after_s is None:
            job.fetched_s = self._now_s
            self._observe(Step.FETCHED, job)
            self.imports.waiting[job.priority].publish(job)
            self._fill_importers()
        else:
            job.failures += again_after_s != _DEFERRAL_S
            self._later(self.fetch, job, again_after_s, self._fill_fetchers)
        self._fill_fetchers()

    def _fill_importers(self) -> None:
        while not self._is_broker_down and (job := self.imports.take(self._now_s)) is not None:
            self.imports.running[job.number] = job
            if job.imports:  # only its acknowledgement was lost
                self._at(self._now_s + _LOOK_S, self._import_ended, job, self._life)
                continue
            self._observe(Step.IMPORT_STARTED, job)
            self._at(self._now_s + job.import_s, self._import_ended, job, self._life)

    def _import_ended(self, job: SimulatedJob, life: int) -> None:
        if life != self._life:
            return
        del self.imports.running[job.number]
        if not job.imports:
            job.imported_s = self._now_s
            job.imports += 1
            self._observe(Step.IMPORTED, job)
        if self._is_broker_down:
            self._deliver_again(self.imports, job, self._fill_importers)
        self._fill_importers()

    def _restart(self) -> None:
        """Lose all that runs; the broker delivers it again after ``ack_wait``."""
        self._life += 1
        for stage, fill in ((self.fetch, self._fill_fetchers), (self.imports, self._fill_importers)):
            for job in stage.running.values():
                self._later(stage, job, ACK_WAIT_S, fill)
            stage.running.clear()
            fill()

    def _restart_broker(self) -> None:
        """Keep what is stored; deliver nothing until it is back."""
        self._broker_back_s = self._now_s + BROKER_DOWN_S
        for stage, fill in ((self.fetch, self._fill_fetchers), (self.imports, self._fill_importers)):
            for consumer in stage.waiting.values():
                for job in consumer.drop_returned():
                    self._deliver_again(stage, job, fill)
            self._at(self._broker_back_s, fill)

    def _deliver_again(self, stage: Stage, job: SimulatedJob, fill: Callable[[], None]) -> None:
        self._later(stage, job, self._broker_back_s - self._now_s + ACK_WAIT_S, fill)

    def _later(self, stage: Stage, job: SimulatedJob, delay_s: float, fill: Callable[[], None]) -> None:
        job.was_disturbed = True
        stage.waiting[job.priority].delay(job, self._now_s + delay_s)
        self._at(self._now_s + delay_s, fill)


def a_week(total: int, seed: int) -> list[SimulatedJob]:
    """Return the requests of a week: LOW work in a flood each night, the rest over the day."""
    random, week_s = Random(seed), 7 * 86_400.0
    shares = {Priority.CRITICAL: 0.05, Priority.HIGH: 0.1, Priority.MEDIUM: 0.15}
    moments = [
        (random.uniform(0, week_s), priority)
        for priority, share in shares.items()
        for _ in range(int(total * share))
    ]
    rest = total - len(moments)
    moments += [(86_400.0 * (number % 7) + random.uniform(0, 600), Priority.LOW) for number in range(rest)]
    return [
        SimulatedJob(
            number,
            priority,
            requested_s,
            source=random.randrange(4),
            fetch_s=random.lognormvariate(1.0, 0.5),
            import_s=random.lognormvariate(0.0, 0.5),
        )
        for number, (requested_s, priority) in enumerate(sorted(moments))
    ]
