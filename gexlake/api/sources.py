"""Sources: the models of the route about where files come from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from gexlake.api.jobs import Duration


class Circuit(StrEnum):
    """The state of a source's circuit breaker."""

    CLOSED = "closed"
    """As usual."""
    OPEN = "open"
    """It has failed repeatedly; no requests are sent."""
    HALF_OPEN = "half_open"
    """One request tries it."""


class CircuitView(BaseModel):
    """Whether requests go to a source now."""

    base_url: str = Field(examples=["https://hist.gex.bot"])
    circuit: Circuit = Field(
        description="closed: requests as usual; open: none after failures; half_open: one request tries"
    )
    left_alone_until: AwareDatetime | None = Field(description="null unless the circuit is open")
    failures_in_a_row: int
    last_error: str | None = Field(description="what the last failure said; it stays when the source is back")
    deactivated_at: AwareDatetime | None = Field(
        None, description="when a client deactivated it; null while it is not"
    )
    deactivated_by: str | None = Field(None, description="who did", examples=["key:ba7816bf"])


class DataSource(CircuitView):
    """A source, and how reliable it was."""

    source_id: UUID = Field(description="UUIDv5 of base_url")
    name: str = Field(description="its host, or the name that a client gave it", examples=["hist.gex.bot"])
    reliability_score: float | None = Field(description="successful_requests / total_requests", ge=0, le=1)
    last_successful_fetch: AwareDatetime | None = Field(description="when it last gave what it was asked for")
    total_requests: int
    successful_requests: int = Field(description="answers, also such as 404: the source was working")
    average_response_time: Duration | None = Field(
        description="exponential mean of the time until it answered", examples=["PT0.25S"]
    )
    is_active: bool = Field(description="false while it is deactivated, and while the circuit is open")


class SourcesList(BaseModel):
    """The sources, by address."""

    sources: list[DataSource]
    total_count: int = Field(description="how many there are, without the limit")


class SourceChanges(BaseModel):
    """Fields of a source to change; those left out, or null, stay as they are."""

    model_config = ConfigDict(extra="forbid")

    is_active: bool | None = Field(
        None, description="false: it is not requested, and its jobs wait; true: it is requested again at once"
    )
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = (
        Field(None, description="its host takes a given name away")
    )
