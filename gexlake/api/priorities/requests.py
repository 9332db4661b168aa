"""Priority requests: the models of the routes that take them, show them, and change their priority."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gexlake.api.jobs import EXAMPLE_URL, Duration, Priority, Status
from gexlake.api.priorities.rules import DataType, EvaluationRequest, Score

MAX_REASON_LENGTH: Final = 500
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON_LENGTH)]


class Channel(StrEnum):
    """How a request came."""

    PRIORITY = "priority"
    """``POST /api/v1/ingest/priority``"""
    HISTORY_URL = "history_url"
    BACKFILL = "backfill"
    CHRONOX = "chronox"
    """Minute bars and snapshots of a registered symbol."""


class NewPriorityRequest(EvaluationRequest):
    """A request as a client makes it."""

    source_url: Annotated[str, StringConstraints(max_length=8192, pattern=r"^https?://[^/\s]+")] = Field(
        description="the (signed) URL of a day of history", examples=[f"{EXAMPLE_URL}?sig=signature"]
    )
    data_type: DataType
    priority: Priority | None = Field(None, description="instead of what the rules decide; needs a reason")
    reason: _Reason | None = Field(None, description="why the rules do not decide")


class PriorityAccepted(BaseModel):
    """A request that is queued, and what is promised."""

    request_id: UUID
    priority_score: float
    priority_level: Priority
    decided_by: list[str] = Field(description="names of the rules that decided; empty if none matched")
    job_id: UUID
    deadline: datetime | None = Field(description="null if the level is low")
    estimated_processing_time: Duration = Field(description="from now to the rows in the lake")
    queue_position: int = Field(description="from 1")
    deadline_at_risk: bool = Field(description="whether the estimate ends after the deadline")
    warning: str | None = Field(description="if the deadline is at risk")


class OverrideView(BaseModel):
    """A priority that a client chose."""

    model_config = ConfigDict(from_attributes=True)

    priority_level: Priority
    priority_score: float
    reason: str | None
    by: str | None = Field(description="which client, without its key")
    at: datetime


class RequestView(BaseModel):
    """A request, and what came of it."""

    request_id: UUID
    status: Status = Field(description="of its job")
    channel: Channel
    priority_level: Priority
    priority_score: float
    decided_by: list[str] = Field(description="names of the rules that decided; empty if none matched")
    overrides: list[OverrideView] = Field(description="the last 100 priorities that clients chose, in order")
    submitted_at: datetime
    requested_at: datetime = Field(description="when it was made, as the client says")
    started_at: datetime | None = Field(description="when a worker first had its newest generation")
    completed_at: datetime | None = Field(description="when the job ended, whether or not it succeeded")
    deadline: datetime | None = Field(description="null if the level is low")
    deadline_kept: bool | None = Field(description="null while the job is open, and without a deadline")
    records_processed: int | None = Field(description="snapshots in the file")
    estimated_completion: datetime | None = Field(description="null when the job has ended")
    error_message: str | None
    job_id: UUID
    market_symbol: str
    data_type: DataType
    source_url: str = Field(description="without its query")
    metadata: dict[str, Any] = Field(description="without secrets")


class RequestsPage(BaseModel):
    """Requests, the newest first."""

    requests: list[RequestView]
    total: int = Field(description="how many requests fit the filters")
    limit: int
    offset: int
    next: str | None = Field(description="path of the next page; null on the last one")


class PriorityChange(BaseModel):
    """Another priority of a request whose job is not finished: a level or a score."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    priority_level: Priority | None = None
    priority_score: Score | None = Field(None, description="the level follows from it")
    reason: _Reason
