"""The system: the models of the routes about health, readiness and status."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from gexlake.api.jobs import Priority, Stage, Status
from gexlake.api.sources import CircuitView


class Health(BaseModel):
    """This process answers."""

    status: Literal["healthy"] = "healthy"
    service: Literal["gex-data-pipeline"] = "gex-data-pipeline"


class Readiness(BaseModel):
    """Whether jobs would be done now."""

    ready: bool
    reasons: list[str] = Field(description="what is missing; empty when ready")


class BrokerView(BaseModel):
    """The connection to NATS."""

    connected: bool


class ServiceView(BaseModel):
    """The last sign of life of one instance of a service."""

    instance: str
    version: str
    at: datetime
    age_s: float
    busy: int = Field(description="messages in hand")
    started_at: datetime


class StatusView(BaseModel):
    """The state of the whole system as intake sees it."""

    version: str
    broker: BrokerView
    rebuilt: bool = Field(description="whether all jobs of the last 30 days are known")
    queue: dict[Stage, dict[Priority, int]] | None = Field(description="null when the broker does not answer")
    dead_letters: int | None = Field(
        description="those whose job has neither been replayed nor completed since; null when it is not known"
    )
    dead_letters_stored: int | None = Field(
        default=None,
        description="all that DEAD holds, resolved ones too; null when the broker does not answer",
    )
    partitions_to_rebuild: int | None = Field(
        description="that the importer has yet to rebuild; null when it is not known"
    )
    feed_pending: int | None = Field(
        default=None,
        description="live payloads that are not stored in the lake yet; null when it is not known",
    )
    jobs: dict[Status, int]
    services: dict[str, list[ServiceView]]
    sources: list[CircuitView] = Field(description="the circuit of each source: whether it is requested now")
