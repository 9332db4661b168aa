"""Jobs: their vocabulary as HTTP, NATS and the ledger spell it, and the models of the routes about them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field, WithJsonSchema

EXAMPLE_ID: Final = "5b0cf1b6-6e0c-5bd6-9d35-3cf2f5a4f0d2"
EXAMPLE_URL: Final = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json"


Duration = Annotated[timedelta, WithJsonSchema({"type": "string", "examples": ["PT1M7.9S"]})]
"""An ISO 8601 duration. Not JSON Schema's format ``duration``, which has no fractions of a second."""


class Stage(StrEnum):
    """A step of a job that workers execute."""

    FETCH = "fetch"
    IMPORT = "import"


class Priority(StrEnum):
    """The urgency of a job, declared most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


PROMISES: Final = {
    Priority.CRITICAL: timedelta(seconds=30),
    Priority.HIGH: timedelta(minutes=5),
    Priority.MEDIUM: timedelta(minutes=30),
}
"""The time from a request to its rows in the lake; LOW has no promise."""


def deadline_after(priority: Priority, requested_at: datetime) -> datetime | None:
    """Return when a request is due; None if its priority has no promise."""
    promise = PROMISES.get(priority)
    return None if promise is None else requested_at + promise


class Status(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    STARTED = "started"
    STAGED = "staged"
    COMMITTED = "committed"
    """In the table but not yet in Parquet; only the ledger has it."""
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """A client cancelled it before it was begun."""


FINISHED: Final = frozenset({Status.COMPLETED, Status.SKIPPED, Status.FAILED, Status.CANCELLED})
"""The states that a job ends in."""


class Queued(BaseModel):
    """A file that is queued."""

    status: Literal["queued"] = "queued"
    id: UUID = Field(examples=[EXAMPLE_ID])
    url: str = Field(description="without its query", examples=[EXAMPLE_URL])
    ticker: str = Field(examples=["NQ_NDX"])
    endpoint: str = Field(examples=["gex_zero"])
    trading_day: date | None = Field(description="null if the file's name does not contain it")
    priority: Priority
    generation: int = Field(description="grows when the job is asked for again or its URL is refreshed")
    request_id: UUID | None = Field(None, description="for `/api/v1/ingest/priority/{request_id}`")
    priority_score: float | None = Field(None, description="from 0 to 1")
    deadline: datetime | None = Field(None, description="null if the priority is low")
    estimated_processing_time: Duration | None = Field(None, description="from now to the rows in the lake")
    queue_position: int | None = Field(None, description="from 1")
    warning: str | None = Field(None, description="if the estimate ends after the deadline")


class Cancelled(BaseModel):
    """A job that is cancelled: it is not fetched or imported any more."""

    status: Literal["cancelled"] = "cancelled"
    request_id: UUID | None = Field(description="null if an older version queued the job")
    job_id: UUID = Field(examples=[EXAMPLE_ID])
    cancelled_at: datetime


class TransitionView(BaseModel):
    """A state that the job came to, and when (UTC)."""

    state: Status
    at: datetime


class ProgressView(BaseModel):
    """How far the present stage has come."""

    stage: Stage
    done_bytes: int
    total_bytes: int | None


class JobView(BaseModel):
    """A job as of its newest generation."""

    id: UUID
    state: Status
    status: Status = Field(description="the same as `state`")
    ticker: str
    endpoint: str
    trading_day: date | None = Field(description="New York date; null until it is known")
    url: str = Field(description="without its query")
    priority: Priority
    generation: int = Field(description="grows when the job is asked for again, refreshed or replayed")
    stage: Stage = Field(description="the stage that the job is in or ended in")
    attempts: int = Field(description="how often the present stage was started")
    failures: int = Field(description="how many attempts of the present stage failed")
    transitions: list[TransitionView]
    bytes_fetched: int
    bytes_expected: int | None = Field(description="null while the source does not say")
    progress: ProgressView | None = Field(
        description="as last reported by the worker; null when no worker has the job"
    )
    rows: int | None = Field(description="records that it brought in: snapshots in the partition, or bars")
    snapshots: int | None
    strike_rows: int | None
    counts: dict[str, int] | None = Field(
        None,
        description="what it brought in, by the names of its dataset: `snapshots`, `strike_rows`, `bars`",
    )
    checksum: str | None = Field(description="SHA-256 of the source file")
    replaced_checksum: str | None = Field(description="of the file that the partition came from before")
    parquet_path: str | None = Field(description="relative to the Parquet folder")
    parquet_bytes: int | None
    skipped: bool = Field(
        description="whether there was nothing to import: the partition held this very file, or see `no_data`"
    )
    no_data: bool = Field(description="whether the vendor has no data for the day")
    reason: str | None = Field(description="who says that there is no data, or why the job was cancelled")
    error: str | None
    error_field: str | None
    dead_letter_seq: int | None = Field(description="where in DEAD the dead letter stands")
    replay_of: str | None = Field(description="`job`, `JOBS:<seq>` or `DEAD:<seq>` when this is a replay")
    created_at: datetime = Field(description="when the job was first heard of")
    requested_at: datetime = Field(description="when this generation was asked for")
    updated_at: datetime

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended, successfully or not."""
        return self.state in FINISHED

    @property
    def succeeded(self) -> bool:
        """Whether the lake holds what the file says."""
        return self.state in {Status.COMPLETED, Status.SKIPPED} and not self.no_data

    @property
    def has_file(self) -> bool:
        """Whether a file was staged for it; some datasets have jobs without one."""
        return any(transition.state is Status.STAGED for transition in self.transitions)

    @property
    def seconds(self) -> dict[str, float]:
        """The duration of each finished stage: ``wait``, ``fetch``, ``import``.

        Each service uses its own clock, so a difference below zero counts as zero.
        """
        at = {transition.state: transition.at for transition in self.transitions}
        done = next((at[state] for state in FINISHED if state in at), None)
        ends = [at.get(Status.PENDING), at.get(Status.STARTED), at.get(Status.STAGED), done]
        if self.state is Status.COMPLETED and not self.has_file:
            ends[2:] = [done]
        return {
            name: max(0.0, (end - start).total_seconds())
            for name, start, end in zip(("wait", "fetch", "import"), ends, ends[1:], strict=False)
            if start is not None and end is not None
        }


class JobsPage(BaseModel):
    """Jobs, the newest request first."""

    jobs: list[JobView]
    total: int = Field(description="how many jobs fit the filters")
    limit: int
    offset: int
    next: str | None = Field(description="path of the next page; null on the last one")
