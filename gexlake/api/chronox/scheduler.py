"""The janitor's schedule: the models of the routes, and of the endpoints over NATS."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from gexlake.api.rpc import Endpoint

Moment = Annotated[AwareDatetime, PlainSerializer(datetime.isoformat, when_used="json")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SchedulerRequest(_Request):
    """No fields."""


class RunJob(_Request):
    """Run a scheduled job now, beside its schedule."""

    job_id: str = Field(min_length=1, max_length=64)


class JobOutcome(StrEnum):
    """How the last run of a scheduled job ended."""

    DONE = "done"
    FAILED = "failed"


class ScheduledJob(BaseModel):
    """A job of the schedule."""

    id: str = Field(examples=["gap_detection"])
    trigger: str = Field(examples=["every 300 s", "daily at 00:00 UTC"])
    running: bool
    next_run: Moment | None = Field(None, description="null while the scheduler is stopped")
    last_run: Moment | None = Field(None, description="start of its last run since the janitor was started")
    last_seconds: float | None = None
    last_outcome: JobOutcome | None = None
    last_error: str | None = None
    last_counts: dict[str, int] = Field(default_factory=dict, description="what the last run did")
    runs: int = 0
    failures: int = 0


class SchedulerStatus(BaseModel):
    """Whether jobs are started by their schedule, and all of them."""

    running: bool
    jobs: tuple[ScheduledJob, ...]


STATUS: Final = Endpoint("status", "gex.svc.scheduler.status", SchedulerRequest, SchedulerStatus)
START: Final = Endpoint("start", "gex.svc.scheduler.start", SchedulerRequest, SchedulerStatus)
STOP: Final = Endpoint("stop", "gex.svc.scheduler.stop", SchedulerRequest, SchedulerStatus)
RUN: Final = Endpoint("run", "gex.svc.scheduler.run", RunJob, SchedulerStatus)
