"""The live state of jobs, as a projection of EVENTS, without I/O.

Statuses are the ledger's: ``pending``, ``started``, ``staged``, ``completed``, ``skipped``, ``failed``,
``cancelled``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import singledispatch
from typing import Any, Final
from uuid import UUID

from gexlake.api.jobs import FINISHED, Stage, Status
from shared.bus.messages import (
    Event,
    FileStaged,
    Job,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobSkipped,
    JobStarted,
    NoData,
    PartitionImported,
    RequestEvent,
    RowsPublished,
)
from shared.bus.requests import PriorityRequest
from shared.datasets import records_in
from shared.older_attempts import OlderAttempt, ended_stage

KEPT_FOR: Final = timedelta(days=30)
"""As long as EVENTS keeps its messages."""
_SWEEP_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Transition:
    """A status that the job's newest generation reached, and when (UTC)."""

    state: Status
    at: datetime


@dataclass(frozen=True, slots=True)
class JobState:
    """What EVENTS holds about the newest generation of a job."""

    job: Job
    status: Status
    stage: Stage
    """The current or last stage of the job."""
    created_at: datetime
    """When the first event of the job occurred."""
    updated_at: datetime
    transitions: tuple[Transition, ...] = ()
    fetch_command_seq: int = 0
    """Stream sequence in JOBS of the newest fetch command; 0 when there is none."""
    import_command_seq: int = 0
    stale_commands: frozenset[Stage] = frozenset()
    """Stages whose command sequence, if set, is of an older generation: the event with the sequence of the
    newest one has not arrived yet."""
    url_sha256: str | None = None
    attempts: int = 0
    """How many times the current stage was started."""
    failures: int = 0
    waits: int = 0
    """How many attempts of the current stage were deferred without counting."""
    error: str | None = None
    error_field: str | None = None
    is_refused: bool = False
    """Whether it failed because the source does not give this data, and will not give it later."""
    dead_letter_seq: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    replaced_sha256: str | None = None
    trading_day: date | None = None
    snapshots: int | None = None
    strike_rows: int | None = None
    counts: Mapping[str, int] | None = None
    """Rows by the dataset's names, of a dataset without snapshots and strike rows."""
    parquet_path: str | None = None
    parquet_bytes: int | None = None
    staged_path: str | None = None
    replay_of: str | None = None
    force: bool = False
    """Whether the partition is replaced even with worse data; ``reason`` says why."""
    reason: str | None = None
    no_data: str | None = None
    """Why the job was skipped without a file: where it is known from that its day has no data."""
    request: PriorityRequest | None = None
    """The request that the newest generation belongs to; None if an older version queued it."""
    started_at: datetime | None = None
    """When the newest generation was started for the first time, in whichever stage."""
    cancel_reason: str | None = None
    """Why the job was cancelled, if the client said so."""
    is_running: bool = False
    """Whether a worker has the job, as far as events say: an attempt was started and has not ended."""
    older: OlderAttempt | None = None
    """The last attempt of an older generation."""
    skipped: bool = False
    """Whether this generation had nothing to import; the job may be completed by an earlier one."""

    @property
    def counted(self) -> Mapping[str, int] | None:
        """What the job brought in, by the dataset's names; None as long as it has brought in nothing."""
        if self.counts is not None or self.snapshots is None:
            return self.counts
        return {"snapshots": self.snapshots, "strike_rows": self.strike_rows or 0}

    @property
    def records(self) -> int | None:
        """How many records the job brought in: snapshots, or what its dataset counts first."""
        return self.snapshots if self.counts is None else records_in(self.counts, self.job.endpoint)

    @property
    def command_seq(self) -> int:
        """Stream sequence in JOBS of the current stage's command."""
        return self._seq_of(self.stage)

    def known_command_seq(self, stage: Stage) -> int:
        """Return the sequence in JOBS of the newest generation's command of a stage; 0 when unknown."""
        return 0 if stage in self.stale_commands else self._seq_of(stage)

    def _seq_of(self, stage: Stage) -> int:
        return self.import_command_seq if stage is Stage.IMPORT else self.fetch_command_seq

    @property
    def is_finished(self) -> bool:
        """Whether the job has reached its final status."""
        return self.status in FINISHED

    @property
    def is_begun(self) -> bool:
        """Whether a worker has the job in whichever generation, as far as events say."""
        return self.is_running or (self.older is not None and not self.older.has_ended)

    @property
    def requests_from(self) -> datetime:
        """The earliest time (UTC) that the next generation's request may have; workers drop older ones."""
        is_cancelled = self.status is Status.CANCELLED
        return max(self.job.requested_at, self.updated_at if is_cancelled else self.job.requested_at)


@dataclass
class JobStates:
    """Every job in EVENTS; one is dropped 30 days after its last event, as EVENTS does."""

    by_id: dict[UUID, JobState] = field(default_factory=dict)
    on_drop: tuple[Callable[[JobState], None], ...] = ()
    """Called for each job that is dropped."""
    _swept_at: datetime | None = None

    def apply(self, event: Event, at: datetime) -> JobState:
        """Apply an event and return the job's state; a repeated or late event changes nothing."""
        if self._swept_at is None or at - self._swept_at > _SWEEP_EVERY:
            self._drop_before(at - KEPT_FOR)
            self._swept_at = at
        state = advance(self.by_id.get(event.job.job_id), event, at)
        self.by_id[event.job.job_id] = state
        return state

    def __iter__(self) -> Iterator[JobState]:
        return iter(self.by_id.values())

    def _drop_before(self, moment: datetime) -> None:
        dropped = [state for state in self if state.updated_at < moment]
        for state in dropped:
            del self.by_id[state.job.job_id]
            for on_drop in self.on_drop:
                on_drop(state)


RANK: Final = {
    Status.PENDING: 0,
    Status.STARTED: 1,
    Status.STAGED: 2,
    Status.COMMITTED: 3,
    Status.FAILED: 4,
    Status.COMPLETED: 5,
    Status.SKIPPED: 5,
    Status.CANCELLED: 5,
}
"""The order of statuses; a job never goes back. A failed import may still become completed, when the importer
finishes at its next start what it had committed."""


def advance(state: JobState | None, event: Event, at: datetime) -> JobState:
    """Return the state of a job after an event.

    An event of a status that the job has passed changes nothing: it is late. So is one of an older
    generation, which only shows whether a worker still has that one.
    """
    if state is None:
        state = _new_state(event.job, at)
    elif state.job.is_older_than(event.job):
        state = _next_generation(state, event.job, at)
    elif event.job.is_older_than(state.job):
        return replace(state, older=state.older.after(event)) if state.older else state
    elif state.older and (ended := ended_stage(event)):
        state = replace(state, older=state.older.after_newer(ended))
    return _apply(event, state, at)


@singledispatch
def _apply(event: Event, state: JobState, at: datetime) -> JobState:
    raise TypeError(f"no rule for {event.TYPE} received at {at} in status {state.status}")


@_apply.register
def _requested(event: JobRequested, state: JobState, _at: datetime) -> JobState:
    state = _request(event, state)
    return replace(state, job=event.job, url_sha256=event.url_sha256, fetch_command_seq=event.command_seq)


@_apply.register
def _replayed(event: JobReplayed, state: JobState, at: datetime) -> JobState:
    state = replace(_request(event, state), replay_of=event.replay_of)
    if event.stage is Stage.FETCH:
        url_sha256 = event.url_sha256 or state.url_sha256
        return replace(state, fetch_command_seq=event.command_seq, url_sha256=url_sha256)
    # The replay of an import publishes no fetch command: the newest one is of an older generation.
    state = replace(_with_fresh_command(state, Stage.IMPORT), import_command_seq=event.command_seq)
    return _moved(state, Status.STAGED, at, stage=Stage.IMPORT)


@_apply.register
def _started(event: JobStarted, state: JobState, at: datetime) -> JobState:
    state = _in_stage(state, event.stage)
    if _is_past(state, event.stage) or event.start <= state.attempts:
        return state
    state = replace(
        state, attempts=event.start, updated_at=at, is_running=True, started_at=state.started_at or at
    )
    return _moved(state, Status.STARTED, at) if event.stage is Stage.FETCH else state


@_apply.register
def _staged(event: FileStaged, state: JobState, at: datetime) -> JobState:
    # The importer's events may arrive first: what only this event carries is set even when it is late.
    state = replace(
        _with_fresh_command(_in_stage(state, Stage.IMPORT), Stage.IMPORT),
        import_command_seq=event.command_seq,
        size_bytes=event.size_bytes,
        sha256=event.sha256,
        staged_path=event.staged_path,
    )
    return _moved(state, Status.STAGED, at)


@_apply.register
def _imported(event: PartitionImported, state: JobState, at: datetime) -> JobState:
    return _ended(event, state, Status.COMPLETED, at, replaced_sha256=event.replaced_sha256)


@_apply.register
def _skipped(event: JobSkipped, state: JobState, at: datetime) -> JobState:
    return _ended(event, state, event.status, at, skipped=True)


@_apply.register
def _no_data(event: NoData, state: JobState, at: datetime) -> JobState:
    ended = _moved(state, Status.SKIPPED, at, stage=Stage.FETCH, no_data=event.reason, skipped=True)
    return state if ended is state else replace(ended, error=None, error_field=None)


@_apply.register
def _published(event: RowsPublished, state: JobState, at: datetime) -> JobState:
    return _moved(
        state,
        Status.COMPLETED,
        at,
        stage=Stage.FETCH,
        counts=event.counts,
        error=None,
        error_field=None,
    )


@_apply.register
def _failed(event: JobFailed, state: JobState, at: datetime) -> JobState:
    state = _in_stage(state, event.stage)
    is_news = (event.failures, event.waits) > (state.failures, state.waits)
    if _is_past(state, event.stage) or not (is_news or event.final):
        return state
    state = replace(
        state,
        failures=event.failures,
        waits=event.waits,
        error=event.error,
        error_field=event.field,
        is_refused=event.refused,
        dead_letter_seq=event.dead_letter_seq,
        updated_at=at,
        # Of two deliveries of a command at a time, the later one may go on.
        is_running=event.start is not None and event.start < state.attempts,
    )
    return _moved(state, Status.FAILED, at) if event.final else state


@_apply.register
def _cancelled(event: JobCancelled, state: JobState, at: datetime) -> JobState:
    return _moved(state, Status.CANCELLED, at, error=None, error_field=None, cancel_reason=event.reason)


def _ended(
    event: PartitionImported | JobSkipped, state: JobState, status: Status, at: datetime, **changes: Any
) -> JobState:
    return _moved(
        state,
        status,
        at,
        stage=Stage.IMPORT,
        trading_day=event.trading_day,
        sha256=event.sha256,
        snapshots=event.snapshots if event.counts is None else None,
        strike_rows=event.strike_rows if event.counts is None else None,
        counts=event.counts,
        parquet_path=event.parquet_path,
        parquet_bytes=event.parquet_bytes,
        error=None,
        error_field=None,
        **changes,
    )


def _new_state(job: Job, at: datetime) -> JobState:
    return JobState(
        job=job,
        status=Status.PENDING,
        stage=Stage.FETCH,
        created_at=at,
        updated_at=at,
        transitions=(Transition(Status.PENDING, at),),
        trading_day=job.trading_day,
        stale_commands=frozenset(Stage),
    )


def _next_generation(state: JobState, job: Job, at: datetime) -> JobState:
    """Return a new state that keeps the staged file and the command sequences of the old generation."""
    return replace(
        _new_state(job, at),
        created_at=state.created_at,
        fetch_command_seq=state.fetch_command_seq,
        import_command_seq=state.import_command_seq,
        url_sha256=state.url_sha256,
        staged_path=state.staged_path,
        size_bytes=state.size_bytes,
        sha256=state.sha256,
        request=state.request if state.job.request_id == job.request_id else None,
        older=_older_attempt(state),
    )


def _older_attempt(state: JobState) -> OlderAttempt:
    if state.older and not state.older.has_ended and not state.is_running:
        return state.older
    return OlderAttempt(state.job.generation, state.stage, state.attempts, not state.is_running)


def _request(event: RequestEvent, state: JobState) -> JobState:
    return replace(
        _with_fresh_command(state, Stage.FETCH),
        force=event.force,
        reason=event.reason,
        request=event.request or state.request,
    )


def _with_fresh_command(state: JobState, stage: Stage) -> JobState:
    return replace(state, stale_commands=state.stale_commands - {stage})


def _in_stage(state: JobState, stage: Stage) -> JobState:
    """Return the state in the import stage, with counts reset; the fetch stage is never re-entered."""
    if state.is_finished or stage is Stage.FETCH or state.stage is Stage.IMPORT:
        return state
    return replace(state, stage=stage, attempts=0, failures=0, waits=0, is_running=False)


def _is_past(state: JobState, stage: Stage) -> bool:
    return state.is_finished or state.stage is not stage


def _moved(state: JobState, status: Status, at: datetime, **changes: Any) -> JobState:
    if RANK[status] <= RANK[state.status]:
        return state
    if status in FINISHED:
        changes["is_running"] = False
    transitions = (*state.transitions, Transition(status, at))
    return replace(state, status=status, updated_at=at, transitions=transitions, **changes)
