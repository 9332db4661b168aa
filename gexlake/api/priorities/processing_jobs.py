"""Jobs as the data model of priorities describes them: models of the routes about them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from gexlake.api.jobs import Duration, Priority

MAX_RETRIES: Final = 3


class JobStatus(StrEnum):
    """What becomes of a job: queued, processed, and an end."""

    QUEUED = "QUEUED"
    """It waits for its first attempt, or for the next one after one that failed."""
    PROCESSING = "PROCESSING"
    """It was begun: a worker has it, or it is staged and waits to be imported."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ProcessingJob(BaseModel):
    """A job, as of its newest generation."""

    job_id: UUID
    request_id: UUID | None = Field(description="null if an older version queued it")
    status: JobStatus
    priority_level: Priority
    market_symbol: str = Field(description="of the request; the ticker if there is none")
    ticker: str
    requested_at: datetime
    started_at: datetime | None = Field(description="never before `requested_at`")
    completed_at: datetime | None = Field(description="when it ended, however; never before `started_at`")
    processing_duration: Duration | None = Field(
        description="ISO 8601: `completed_at - started_at`; null if it was not begun or has not ended"
    )
    records_processed: int | None = Field(description="snapshots in the partition, or bars")
    counts: dict[str, int] | None = Field(
        None,
        description="what it brought in, by the names of its dataset: `snapshots`, `strike_rows`, `bars`",
    )
    data_size_bytes: int | None = Field(description="of the source file; null until it is fetched")
    error_message: str | None = Field(description="of the last attempt that failed")
    retry_count: int = Field(
        ge=0, le=MAX_RETRIES, description="attempts of the present stage after one that failed"
    )


class ProcessingJobsPage(BaseModel):
    """Jobs, the newest request first."""

    jobs: list[ProcessingJob]
    total_count: int = Field(description="how many jobs fit the filters")
    limit: int
    offset: int
    next: str | None = Field(description="path of the next page; null on the last one")
