"""Backfills: the models of the route that asks for history by date."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Standing(StrEnum):
    """The state of a day in the plan of a backfill."""

    PLANNED = "planned"
    """A dry run would queue it."""
    QUEUED = "queued"
    UNDER_WAY = "under_way"
    """A job for it is unfinished."""
    HELD = "held"
    """The lake has it."""
    NO_DATA = "no_data"
    """The vendor has no data for it."""


class DayView(BaseModel):
    """One trading day of one ticker and endpoint."""

    model_config = ConfigDict(frozen=True)

    ticker: str
    endpoint: str
    trading_day: date
    standing: Standing
    id: UUID | None = Field(description="the job that brings it in; null when none is to")


class NamedDayView(BaseModel):
    """A day on which the exchange is closed or closes early."""

    day: date
    why: str


class BackfillView(BaseModel):
    """A backfill's plan; unless it was a dry run, its jobs are queued."""

    dry_run: bool
    counts: dict[Standing, int]
    days: list[DayView] = Field(description="the oldest first")
    closed: list[NamedDayView] = Field(description="days without trading; of a range without its weekends")
    early_closes: list[NamedDayView] = Field(description="trading days with a shorter session")
    warnings: list[str]
