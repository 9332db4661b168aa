"""The queue and the promises kept: models of the routes about them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from gexlake.api.jobs import Priority, Stage


class QueuedJob(BaseModel):
    """A job that waits for a worker."""

    job_id: UUID
    request_id: UUID | None = Field(description="null if an older version queued it")
    market_symbol: str = Field(description="of the request; the ticker if there is none")
    ticker: str
    endpoint: str
    trading_day: date | None
    stage: Stage = Field(description="the stage that it waits for")
    priority_score: float | None
    deadline: datetime | None = Field(description="null for LOW")
    submitted_at: datetime


class QueueLevel(BaseModel):
    """The unfinished jobs of a level."""

    level: Priority
    waiting: int = Field(description="jobs that no worker has, before either stage")
    running: int
    oldest: datetime | None = Field(description="when the oldest request among them was submitted")
    next: list[QueuedJob] = Field(description="the first ten of those that wait, in the order of the work")


class Queue(BaseModel):
    """The queue as of now."""

    total_queued: int = Field(description="jobs that wait")
    by_priority: dict[Priority, int] = Field(description="jobs that wait, by level")
    oldest_request: datetime | None = Field(description="when the oldest unfinished request was submitted")
    processing_capacity: int = Field(
        description="how many jobs the fetchers and importers that are alive work on at the same time"
    )
    levels: list[QueueLevel] = Field(description="the most urgent first")


class SlaLevel(BaseModel):
    """What became of the requests of a level.

    ``count`` is the sum of ``kept``, ``missed``, ``open`` and ``cancelled``; for LOW, which has no promise,
    ``kept`` and ``missed`` are null.
    """

    level: Priority
    promise_seconds: float | None = Field(description="from the request to its rows in the lake")
    count: int = Field(description="requests that were submitted in the window")
    kept: int | None = Field(description="completed or skipped by the deadline")
    missed: int | None = Field(description="later, failed, or still open after the deadline")
    missed_foretold: int | None = Field(
        description="those of `missed` whose estimate was after the deadline when they were submitted"
    )
    open: int = Field(description="not ended, and the deadline has not passed")
    cancelled: int
    p50_seconds: float | None = Field(
        description="from the request to its end, of those completed or skipped"
    )
    p95_seconds: float | None
    max_seconds: float | None


class Sla(BaseModel):
    """The promises of a window of time."""

    window: str = Field(examples=["24h"])
    since: datetime
    until: datetime
    levels: list[SlaLevel] = Field(description="the most urgent first")
