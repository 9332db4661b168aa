"""Runs of registered symbols: the models of the routes, and of the endpoints over NATS."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from gexlake.api.chronox.symbols import Phase, RunOutcome, Strategy, SymbolText
from gexlake.api.jobs import Priority
from gexlake.api.rpc import Endpoint

MAX_SYMBOLS: Final = 10_000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Execute(_Request):
    """Bring registered symbols through the phases of their strategies."""

    symbols: tuple[SymbolText, ...] = Field(
        (), max_length=MAX_SYMBOLS, description="all enabled ones if empty"
    )
    phases: tuple[Phase, ...] = Field((), description="only these of their phases; all if empty")
    start: date | None = Field(None, description="the first day of the backfill; by default as configured")
    end: date | None = Field(
        None, description="the last day of the backfill; by default yesterday in New York"
    )
    adjusted: bool = Field(default=False, description="by REST: adjusted bars, too")
    priority: Priority | None = None
    dry_run: bool = Field(default=False, description="return what would be done, and do nothing")

    @model_validator(mode="after")
    def _days_ascend(self) -> Self:
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"start: {self.start} is after the end, {self.end}")
        return self


class ExecuteOutcome(StrEnum):
    """What came of the request to run a symbol."""

    STARTED = "started"
    PLANNED = "planned"
    """Of a dry run."""
    RUNNING = "running"
    """A run is in progress."""
    DISABLED = "disabled"
    UNKNOWN = "unknown"
    """It is not registered."""
    NOTHING_TO_DO = "nothing_to_do"
    """Its strategy has none of the phases."""


class SymbolExecution(BaseModel):
    """What came of the request to run a symbol."""

    symbol: str
    strategy: Strategy | None = None
    outcome: ExecuteOutcome
    phases: tuple[Phase, ...] = ()
    jobs: int | None = Field(
        None, description="of a dry run: how many jobs it would wait for; symbols share those of flat files"
    )
    run_id: UUID | None = None


class ExecuteResult(BaseModel):
    """One entry a symbol."""

    symbols: tuple[SymbolExecution, ...]
    started: int
    dry_run: bool


class RunView(BaseModel):
    """A run in progress, or the last one of a symbol that ended."""

    symbol: str
    strategy: Strategy
    run_id: UUID
    outcome: RunOutcome | None = Field(None, description="null while it is in progress")
    phase: Phase
    phases: tuple[Phase, ...] = Field((), description="of a run in progress")
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    jobs_done: int | None = Field(None, description="of the phase of a run in progress")
    jobs_total: int | None = None
    records: int = 0
    error_message: str | None = None


class RunsList(BaseModel):
    """Runs by symbol, in alphabetical order."""

    runs: list[RunView]
    in_progress: int


class RefreshSnapshots(_Request):
    """Have the snapshots of symbols fetched again, in batches, without runs."""

    symbols: tuple[SymbolText, ...] = Field(
        (), max_length=MAX_SYMBOLS, description="all enabled ones whose strategy has snapshots if empty"
    )


class SnapshotsRefreshed(BaseModel):
    """The jobs that fetch them; the registry has the times once they end."""

    symbols: int
    queued: tuple[UUID, ...] = Field(description="ids of jobs, each of up to 250 symbols")
    under_way: int = Field(description="batches whose earlier job has not ended: nothing is queued for them")


class DetectGaps(_Request):
    """Look for missing minutes of registered symbols, and ask the vendor for them."""

    symbols: tuple[SymbolText, ...] = Field(
        (), max_length=MAX_SYMBOLS, description="all enabled ones if empty"
    )
    first: date | None = Field(None, description="by default the first day that a backfill would ask for")
    last: date | None = Field(None, description="by default the last trading day that is over")
    fill: bool = Field(default=True, description="queue requests for what is missing")


class GapsDetected(BaseModel):
    """What was found and queued."""

    symbols: int
    sessions: int
    detected: int = Field(description="gaps that were not known before")
    resolved: int = Field(description="gaps that were open before and are not any more")
    open: int
    missing_minutes: int = Field(description="of all open gaps")
    fills_queued: int
    fills_left: int = Field(description="fills that the limit a day leaves for later")
    seconds: float


class CheckStreams(_Request):
    """Compare what was streamed last with the clock, and note it in the registry."""


class StreamsChecked(BaseModel):
    """The state of the streamed symbols."""

    streaming: int
    fresh: int = Field(description="with a streamed bar within the last minutes")
    stale: tuple[str, ...] = Field(description="symbols without one while the market is open")
    market_is_open: bool


EXECUTE: Final = Endpoint("execute", "gex.svc.chronox.execute", Execute, ExecuteResult)
DETECT_GAPS: Final = Endpoint("detect_gaps", "gex.svc.chronox.detect_gaps", DetectGaps, GapsDetected)
REFRESH_SNAPSHOTS: Final = Endpoint(
    "refresh_snapshots", "gex.svc.chronox.refresh_snapshots", RefreshSnapshots, SnapshotsRefreshed
)
CHECK_STREAMS: Final = Endpoint(
    "check_streams", "gex.svc.chronox.check_streams", CheckStreams, StreamsChecked
)
