"""The endpoints of the services over NATS (``gex.svc.…``), with the models of their requests and responses.

``nats req gex.svc.lake.sql '{"query": "SELECT 1"}'`` and ``nats service info importer`` work with them too.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, PlainSerializer, StrictBool, model_validator

from gexlake.api.jobs import Stage
from gexlake.api.lake import ExportRequest, Request, Response, SqlRequest, SqlResponse
from gexlake.api.rpc import Endpoint

MAX_DAYS: Final = 1000
"""How many tickers, endpoints and days one question about days may name, each."""


class LedgerRequest(Request):
    """Which ledger rows; the newest first."""

    job_id: str | None = None
    ticker: str | None = None
    endpoint: str | None = None
    status: str | None = None
    limit: int = Field(100, ge=1, le=1000)


class LedgerResponse(Response):
    """Ledger rows, each an object of columns and values."""

    rows: tuple[dict[str, Any], ...]
    truncated: bool


class CoverageRequest(Request):
    """Which partitions."""

    ticker: str | None = None
    endpoint: str | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class CoverageResponse(Response):
    """Partitions with their rows, bytes and checksums, each an object of columns and values."""

    partitions: tuple[dict[str, Any], ...]
    truncated: bool


class VerifyRequest(Request):
    """Which partitions to compare with their Parquet files; all of them if nothing is named."""

    ticker: str | None = None
    endpoint: str | None = None
    trading_day: date | None = None


class PartitionDifference(Response):
    """A partition whose table and files differ."""

    ticker: str
    endpoint: str
    trading_day: date
    problem: str


class VerifyResponse(Response):
    """What the comparison of tables and files found."""

    checked: int
    """How many partitions were compared."""
    differences: tuple[PartitionDifference, ...]
    truncated: bool = False


class DaysRequest(Request):
    """Which partitions: every day of every ticker and endpoint."""

    tickers: tuple[str, ...] = Field(max_length=MAX_DAYS)
    endpoints: tuple[str, ...] = Field(max_length=MAX_DAYS)
    days: tuple[date, ...] = Field(max_length=MAX_DAYS)


class KnownDay(Response):
    """A partition that the lake holds (``held``), or that the vendor had no data for (``no_data``)."""

    ticker: str
    endpoint: str
    trading_day: date
    standing: Literal["held", "no_data"]
    at: Annotated[AwareDatetime, PlainSerializer(datetime.isoformat, when_used="json")]
    """Since when (UTC)."""


class DaysResponse(Response):
    """The known ones of the partitions; a partition may be both held and without data."""

    days: tuple[KnownDay, ...]
    truncated: Literal[False] = False


class SnapshotRequest(Request):
    """A snapshot of the lake, for a backup."""


class LakeCounts(Response):
    """What a database holds."""

    partitions: int
    snapshots: int
    strike_rows: int
    jobs: int
    """Rows of the ledger."""
    records: int
    """Rows in the tables of records."""


class SnapshotResponse(Response):
    """A snapshot that the importer has taken, opened and counted."""

    folder: str
    """Below the data folder; the next snapshot replaces it."""
    counts: LakeCounts


class ArchiveJobsRequest(Request):
    """Which jobs are taken out of the ledger."""

    before: AwareDatetime
    """Those that ended before this moment; at least 30 days ago, because EVENTS has the others."""
    max_jobs: int = Field(5000, ge=1, le=50_000)


class ArchiveJobsResponse(Response):
    """How many jobs were archived; perhaps not all, because one request is for one month."""

    archived: int


class ReplayRequest(Request):
    """A job to do again from its message: exactly one of ``job_id``, ``stream_seq`` and ``dead_letter``."""

    job_id: UUID | None = None
    stream_seq: int | None = Field(None, ge=1)
    """Where in JOBS its command is."""
    dead_letter: int | None = Field(None, ge=1)
    """Where in DEAD its dead letter is."""
    stage: Stage | None = None
    """Where to start again; by default the stage that the job is in or ended in."""
    force: StrictBool | None = None
    """Replace the partition even by worse data; needs a reason."""
    reason: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        targets = (self.job_id, self.stream_seq, self.dead_letter)
        if sum(target is not None for target in targets) != 1:
            raise ValueError("give exactly one of job_id, stream_seq and dead_letter")
        return self


class ReplayQueued(BaseModel):
    """A job whose command was published again."""

    status: Literal["queued"] = "queued"
    id: UUID
    generation: int
    stage: Stage
    replay_of: str = Field(examples=["job", "JOBS:17", "DEAD:2"])
    command_seq: int = Field(description="where in JOBS the new command stands")


SQL: Final = Endpoint("sql", "gex.svc.lake.sql", SqlRequest, SqlResponse)
EXPORT: Final = Endpoint("export", "gex.svc.lake.export", ExportRequest, Response)
LEDGER: Final = Endpoint("ledger", "gex.svc.lake.ledger", LedgerRequest, LedgerResponse)
COVERAGE: Final = Endpoint("coverage", "gex.svc.lake.coverage", CoverageRequest, CoverageResponse)
VERIFY: Final = Endpoint(
    "verify",
    "gex.svc.lake.verify",
    VerifyRequest,
    VerifyResponse,
    description="Compare the rows of partitions in the database with their Parquet files",
)
DAYS: Final = Endpoint("days", "gex.svc.lake.days", DaysRequest, DaysResponse)
SNAPSHOT: Final = Endpoint(
    "snapshot",
    "gex.svc.lake.snapshot",
    SnapshotRequest,
    SnapshotResponse,
    description="Copy the database, and link the Parquet files, below the data folder: for gexlake backup",
)
ARCHIVE_JOBS: Final = Endpoint(
    "archive_jobs",
    "gex.svc.lake.archive_jobs",
    ArchiveJobsRequest,
    ArchiveJobsResponse,
    description="Move jobs that ended long ago from the ledger to data/archive/jobs",
)
REPLAY: Final = Endpoint(
    "replay",
    "gex.svc.jobs.replay",
    ReplayRequest,
    ReplayQueued,
    description="Publish a job's command again as a new generation",
    error_has_body=False,
    example='{"job_id": "…"} or {"stream_seq": n} or {"dead_letter": n}; optional: stage, force, reason',
)
