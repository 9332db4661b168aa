"""The registry of symbols: the models of the routes that keep it."""

from __future__ import annotations

import json
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import MAX_METADATA_DEPTH, is_nested_deeper

MAX_METADATA_BYTES: Final = 4096
MAX_BULK: Final = 1000


class Strategy(StrEnum):
    """Which phases a symbol is brought in by."""

    FLATPACK = "flatpack"
    SNAPSHOT = "snapshot"
    STREAM = "stream"
    FLATPACK_API = "flatpack_api"
    SNAPSHOT_STREAM = "snapshot_stream"
    FLATPACK_SNAPSHOT_STREAM = "flatpack_snapshot_stream"

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Its phases, in their order."""
        words = self.value.split("_")
        has = {Phase.BACKFILL: "flatpack", Phase.SNAPSHOT: "snapshot", Phase.STREAM: "stream"}
        return tuple(phase for phase, word in has.items() if word in words)


class Phase(StrEnum):
    """A phase of a run."""

    BACKFILL = "backfill"
    SNAPSHOT = "snapshot"
    STREAM = "stream"


class SymbolStatus(StrEnum):
    """What became of a symbol's last run, or that it has none."""

    IDLE = "idle"
    RUNNING = "running"
    ERROR = "error"
    DISABLED = "disabled"


def _strategy(value: Any) -> Any:
    """Accept the spellings of the first system, too: ``flatpack+api``, ``FLATPACK_API``."""
    return value.strip().lower().replace("+", "_") if isinstance(value, str) else value


SymbolText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10)]
AnyStrategy = Annotated[Strategy, BeforeValidator(_strategy)]
_Description = Annotated[str, StringConstraints(max_length=500)]
_ErrorMessage = Annotated[str, StringConstraints(max_length=2000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _WithMetadata(_Strict):
    @field_validator("metadata", check_fields=False)
    @classmethod
    def _is_small(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode())
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"it has {size} bytes as JSON, over {MAX_METADATA_BYTES}")
        if is_nested_deeper(metadata, MAX_METADATA_DEPTH):
            raise ValueError(f"it is nested deeper than {MAX_METADATA_DEPTH} levels")
        return metadata


class NewSymbol(_WithMetadata):
    """A symbol as a client registers it."""

    symbol: SymbolText = Field(
        description="as the vendor writes it, case included", examples=["AAPL", "BRK.B"]
    )
    strategy: AnyStrategy = Field(examples=[Strategy.FLATPACK_SNAPSHOT_STREAM])
    enabled: bool = True
    description: _Description = Field("", examples=["Apple Inc."])
    metadata: dict[str, Any] = Field(default_factory=dict)


class SymbolChanges(_WithMetadata):
    """Fields of a symbol to change; those left out, or null, stay as they are."""

    strategy: AnyStrategy | None = None
    enabled: bool | None = None
    description: _Description | None = None
    metadata: dict[str, Any] | None = None


class StatusChange(_Strict):
    """A status that a client sets: ``running`` is set by runs alone."""

    status: SymbolStatus
    error_message: _ErrorMessage | None = Field(None, examples=["Rate limit exceeded"])

    @field_validator("status")
    @classmethod
    def _is_not_running(cls, status: SymbolStatus) -> SymbolStatus:
        if status is SymbolStatus.RUNNING:
            raise ValueError("only a run sets running; use idle, error or disabled")
        return status

    @field_validator("error_message")
    @classmethod
    def _is_of_an_error(cls, message: str | None, others: ValidationInfo) -> str | None:
        if message is not None and others.data.get("status") is not SymbolStatus.ERROR:
            raise ValueError("only the status error has one; leave it out")
        return message


class Run(BaseModel):
    """A run of a symbol through its phases, while it is in progress."""

    model_config = ConfigDict(frozen=True)

    run_id: UUID
    owner: str = Field(description="the instance of intake that drives it")
    phases: tuple[Phase, ...]
    phase: Phase = Field(description="the phase that it is in")
    started_at: AwareDatetime
    start: date | None = Field(None, description="the first day of the backfill, if the request named one")
    end: date | None = Field(None, description="the last day of the backfill, if the request named one")
    adjusted: bool = False
    priority: Priority | None = None
    jobs_done: int = Field(0, description="of its phase; written every few seconds")
    jobs_total: int | None = Field(None, description="of its phase; null while that is not known")
    records: int = Field(0, description="rows that its ended phases brought in")


class RunOutcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    """A client disabled the symbol, set its status, or changed its strategy."""


class EndedRun(BaseModel):
    """The last run of a symbol that ended."""

    model_config = ConfigDict(frozen=True)

    run_id: UUID
    outcome: RunOutcome
    phase: Phase = Field(description="the phase that it ended in")
    started_at: AwareDatetime
    ended_at: AwareDatetime
    records: int = 0


class RegisteredSymbol(NewSymbol):
    """A symbol of the registry."""

    model_config = ConfigDict(extra="ignore")

    status: SymbolStatus = SymbolStatus.IDLE
    last_backfill: AwareDatetime | None = Field(None, description="when a backfill was last completed")
    last_snapshot: AwareDatetime | None = Field(None, description="when a snapshot was last published")
    last_stream: AwareDatetime | None = Field(None, description="when a streamed bar was last published")
    error_message: str | None = Field(None, description="why the last run failed; null in other statuses")
    streaming: bool = Field(
        default=False, description="whether its streamed bars are stored: a run has reached that phase"
    )
    run: Run | None = Field(None, description="its run in progress; null in statuses other than running")
    last_run: EndedRun | None = Field(None, description="its last run that ended")
    created_at: AwareDatetime
    updated_at: AwareDatetime = Field(description="when it was last changed; never before created_at")
    changed_by: str | None = Field(
        None,
        description="who changed it last: a part of the hash of an API key, or an address; null for the "
        "nats command",
        examples=["key:ba7816bf", "address:10.0.0.7"],
    )


class SymbolView(RegisteredSymbol):
    """A symbol as it is now."""

    revision: int = Field(description="of the bucket SYMBOLS; also in the header ETag, for If-Match")


class BarsOfSymbol(BaseModel):
    """What the lake has of a symbol's minute bars, as traded."""

    bars: int
    first_bar: AwareDatetime | None = Field(None, description="start of its first minute")
    last_bar: AwareDatetime | None = Field(None, description="start of its last minute")
    complete_days: int = Field(description="trading days for which the vendor has answered")
    open_gaps: int = Field(description="runs of missing minutes, at the last detection")
    missing_minutes: int = Field(description="of these")


class SymbolDetails(SymbolView):
    """A symbol as it is now, and what the lake has of it."""

    coverage: BarsOfSymbol | None = Field(
        None, description="null if the importer does not answer within a second"
    )


class SymbolsList(BaseModel):
    """The symbols of the registry, in alphabetical order."""

    symbols: list[SymbolView]
    total_count: int


class BulkSymbols(_Strict):
    """Symbols to register together; each is registered, or refused, by itself."""

    symbols: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_BULK,
        description="objects as POST /api/v1/symbols takes them",
        examples=[[{"symbol": "AAPL", "strategy": "flatpack"}]],
    )


class BulkOutcome(StrEnum):
    """What came of one symbol."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    """It was registered before, with the same fields."""
    REFUSED = "refused"


class BulkRow(BaseModel):
    """What came of one symbol."""

    row: int = Field(description="its place in the request, from 1")
    symbol: str | None
    outcome: BulkOutcome
    field: str | None = Field(None, description="the field that is wrong")
    message: str | None = Field(None, description="why it was refused, and what to do")


class BulkResult(BaseModel):
    """What came of symbols that were posted together."""

    rows: list[BulkRow]
    added: int
    unchanged: int
    refused: int
