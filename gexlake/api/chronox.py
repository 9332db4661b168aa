"""Runs of registered symbols: the models of the routes, and of the endpoints over NATS."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from gexlake.api.jobs import Priority
from gexlake.api.rpc import Endpoint
from gexlake.api.symbols import Phase, Strategy, SymbolText

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
    jobs: int | None = Field(None, description="of a dry run: how many jobs would be queued")
    run_id: UUID | None = None


class ExecuteResult(BaseModel):
    """One entry a symbol."""

    symbols: tuple[SymbolExecution, ...]
    started: int
    dry_run: bool


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
CHECK_STREAMS: Final = Endpoint(
    "check_streams", "gex.svc.chronox.check_streams", CheckStreams, StreamsChecked
)
