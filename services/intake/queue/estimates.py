"""When the rows of a request will be in the lake, from the work ahead and what earlier work has shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import exp, log
from typing import Final

from gexlake.api.jobs import Priority, Stage, Status
from services.intake.queue.rates import ArrivalRate, CompletionRate
from services.intake.queue.work_queue import URGENT_FIRST, WorkQueue
from services.intake.queue.work_times import NEW_SHARE, WorkTimes
from services.intake.state.sources.view import KnownSources
from shared.job_states import JobState
from shared.sources.record import origin_of

TYPICAL_BYTES: Final = 150_000_000
"""Size of a history file until one of its endpoint is known."""
_BYTES_PER_ROW: Final = 64.0
"""Of a file, for each strike row or snapshot in it."""
_FETCH_S, _FETCH_BYTES_PER_S = 0.2, 20e6
_IMPORT_S, _IMPORT_ROWS_PER_S = 0.1, 1.2e6
_FETCH_SLOTS: Final = 3
"""Those of one fetcher with default settings that are not kept for CRITICAL."""
_LOW_SHARE: Final = 0.1
"""Of the turns of a stage, while LOW work waits."""
_DEACTIVATED_S: Final = 86_400.0
"""How long a deactivated source is expected to stay so: that is not known, so longer than any promise."""
_LATE: Final = 1 / 3
"""Of the time that an import has taken, what it takes at least from now on."""
_REMEMBERED: Final = 10_000
"""Names for which means are kept, at most."""


@dataclass(frozen=True)
class Estimate:
    """What is to be expected of a request that is made now."""

    seconds: float
    """Until its rows are in the lake."""
    queue_position: int
    """Its place in the queue, from 1."""


class _Means:
    """Exponential means by name, of logarithms: one value that is unlike the others changes little.

    Those that were not used for longest are dropped.
    """

    def __init__(self) -> None:
        self._logs: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def observe(self, name: tuple[str, ...], value: float) -> None:
        new = log(value)
        before = self._logs.pop(name, new)
        self._logs[name] = before + NEW_SHARE * (new - before)
        if len(self._logs) > _REMEMBERED:
            self._logs.popitem(last=False)

    def get(self, *names: tuple[str, ...]) -> float | None:
        """Return the mean of the first name that is known."""
        return next((exp(self._logs[name]) for name in names if name in self._logs), None)


class Estimates:
    """Learns from every event, and estimates.

    Args:
        queue: the unfinished jobs; it takes in each event before this does.
        sources: whose circuits may be open.
        clock: the present moment.
    """

    def __init__(self, queue: WorkQueue, sources: KnownSources, clock: Callable[[], datetime]) -> None:
        self._queue = queue
        self._sources = sources
        self._clock = clock
        self._sizes, self._rows_per_byte = _Means(), _Means()
        self._fetches: OrderedDict[str | None, WorkTimes] = OrderedDict()
        self._imports = WorkTimes(_IMPORT_S, 1 / _IMPORT_ROWS_PER_S)
        self._mean_rows = 0.0
        self._completions = {stage: CompletionRate() for stage in Stage}
        self._arrivals = {priority: ArrivalRate() for priority in Priority}
        self._had_backlog = dict.fromkeys(Stage, False)

    def changed(self, before: JobState | None, after: JobState) -> None:
        """Learn from an event; the times are those of events, so a restart learns the same again."""
        now_s = after.updated_at.timestamp()
        is_new = before is None or before.job.request_id != after.job.request_id or before.is_finished
        if is_new and not after.is_finished:
            self._arrivals[after.job.priority].arrived(now_s)
        for stage in Stage:
            self._completions[stage].advance(now_s, has_backlog=self._had_backlog[stage])
        if before is not None and before.job.generation == after.job.generation:
            self._learn(before, after)
        for stage in Stage:
            self._had_backlog[stage] = self._queue.waiting(stage) > 0

    def of(
        self, ticker: str, endpoint: str, source_url: str, priority: Priority, deadline: datetime | None
    ) -> Estimate:
        """Estimate a request that is made now.

        Args:
            ticker: of the file.
            endpoint: of the file.
            source_url: of the file; its source counts.
            priority: of the request.
            deadline: of the request; None for a LOW one, which is the last; ``due_of`` a queued job.
        """
        size = self._size_of(ticker, endpoint)
        fetch_s = self._line_of(source_url).seconds(size)
        import_s = self._import_s(ticker, endpoint, size)
        wait_s = max(self._wait_s(Stage.FETCH, priority, deadline, fetch_s), self._pause_s(source_url))
        fetched_s = wait_s + fetch_s
        if self._queue.waiting(
            Stage.IMPORT
        ):  # some import runs whenever it is staged: on average, half is left
            fetched_s += self._imports.seconds(self._mean_rows) / 2
        free_s = self._wait_s(Stage.IMPORT, priority, deadline, import_s)
        seconds = max(fetched_s, free_s) + import_s
        return Estimate(seconds, self._queue.position(priority, deadline))

    def _wait_s(self, stage: Stage, priority: Priority, deadline: datetime | None, own_s: float) -> float:
        """Return how long it takes until a stage has begun all jobs ahead."""
        if stage is Stage.IMPORT:  # those that wait to be fetched have to be imported first, too
            ahead = self._queue.ahead_of_import(priority, deadline)
        else:
            ahead = self._queue.ahead(stage, priority, deadline)
        residual_s = self._running_import_s() if stage is Stage.IMPORT else 0.0
        if stage is Stage.FETCH and priority is not Priority.CRITICAL and self._queue.waiting(stage):
            ahead += 1  # no slot is free
        return residual_s + (ahead / self._turns_per_s(stage, priority, own_s) if ahead else 0.0)

    def _pause_s(self, url: str) -> float:
        """Return how long a source is not requested: its circuit is open, or it is deactivated."""
        origin = origin_of(url)
        record = next((each for each in self._sources.records if each.base_url == origin), None)
        if record is None:
            return 0.0
        if record.deactivated_at is not None:
            return _DEACTIVATED_S
        until = record.open_until
        return max(0.0, (until - self._clock()).total_seconds()) if until is not None else 0.0

    def _turns_per_s(self, stage: Stage, priority: Priority, own_s: float) -> float:
        """Return how many jobs ahead a stage completes a second.

        More urgent jobs that are still to come go first, and LOW has its turns; one turn in ten is left.
        """
        per_s = self._completions[stage].per_s
        if per_s is None:
            per_s = (_FETCH_SLOTS if stage is Stage.FETCH else 1) / max(own_s, 0.001)
        now_s = self._clock().timestamp()
        above = URGENT_FIRST[: URGENT_FIRST.index(priority)]
        taken = sum(self._arrivals[level].per_s(now_s) for level in above)
        if priority is not Priority.LOW and self._queue.has_waiting(Priority.LOW):
            taken += _LOW_SHARE * per_s
        return max(per_s - taken, _LOW_SHARE * per_s)

    def _running_import_s(self) -> float:
        """Return how long the import that ends first goes on."""
        now = self._clock()
        return min((self._left_s(state, now) for state in self._queue.running(Stage.IMPORT)), default=0.0)

    def _left_s(self, state: JobState, now: datetime) -> float:
        """Return how long an import goes on: what is left of its time, or a third of what it has taken."""
        taken_s = _seconds(state.updated_at, now)
        whole_s = self._import_s(state.job.ticker, state.job.endpoint, state.size_bytes)
        return max(whole_s - taken_s, taken_s * _LATE)

    def _import_s(self, ticker: str, endpoint: str, size: float | None) -> float:
        per_byte = self._rows_per_byte.get((ticker, endpoint), (endpoint,)) or 1 / _BYTES_PER_ROW
        return self._imports.seconds((size or self._size_of(ticker, endpoint)) * per_byte)

    def _size_of(self, ticker: str, endpoint: str) -> float:
        return self._sizes.get((ticker, endpoint), (endpoint,)) or TYPICAL_BYTES

    def _line_of(self, url: str) -> WorkTimes:
        return self._fetches.get(origin_of(url)) or WorkTimes(_FETCH_S, 1 / _FETCH_BYTES_PER_S)

    def _learn(self, before: JobState, after: JobState) -> None:
        if Stage.IMPORT in before.stale_commands - after.stale_commands:
            self._learn_fetch(before, after)
        has_left = before.stage is not after.stage or (after.is_finished and not before.is_finished)
        if not has_left or after.status is Status.CANCELLED:
            return
        if self._had_backlog[before.stage]:
            self._completions[before.stage].completed()
        if before.is_running and before.stage is Stage.IMPORT and after.status is Status.COMPLETED:
            self._learn_import(after, _seconds(before.updated_at, after.updated_at))

    def _learn_fetch(self, before: JobState, state: JobState) -> None:
        """Learn from the event that a file is staged; that its import has begun may be known before."""
        started_at = before.updated_at if before.stage is Stage.FETCH else before.started_at
        if not state.size_bytes or started_at is None or before.attempts == 0:
            return
        for name in _names_of(state):
            self._sizes.observe(name, state.size_bytes)
        origin = origin_of(state.job.base_url)
        line = self._line_of(state.job.base_url)
        line.observe(state.size_bytes, _seconds(started_at, state.transitions[-1].at))
        self._fetches[origin] = line
        self._fetches.move_to_end(origin)
        if len(self._fetches) > _REMEMBERED:
            self._fetches.popitem(last=False)

    def _learn_import(self, state: JobState, seconds: float) -> None:
        rows = sum((state.counted or {}).values())
        if rows and not state.skipped:
            self._imports.observe(rows, seconds)
            self._mean_rows += NEW_SHARE * (rows - self._mean_rows)
        if rows and state.size_bytes:
            for name in _names_of(state):
                self._rows_per_byte.observe(name, rows / state.size_bytes)


def _names_of(state: JobState) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (state.job.ticker, state.job.endpoint), (state.job.endpoint,)


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())
