"""Settings of the janitor."""

from __future__ import annotations

from datetime import time

from pydantic import Field

from shared.process.settings import Settings


class JanitorSettings(Settings):
    """Settings of the janitor, beyond those of every service."""

    staged_retention_days: float = Field(14.0, ge=0, le=3650)
    """How long the staged file of a finished job is kept."""
    prune_interval_s: float = Field(3600.0, gt=0)
    prune_batch: int = Field(1000, ge=1)
    """The maximum number of staged files removed in one round."""
    stranded_after_s: float = Field(600.0, gt=0)
    """How long an unfinished job may be without an event before its command is looked up."""
    requeue_interval_s: float = Field(60.0, gt=0)
    requeue_batch: int = Field(20, ge=1)
    """The maximum number of jobs requeued in one round."""
    archive_after_days: float = Field(31.0, ge=31, le=36500)
    """How long a job that has ended stays in the ledger; EVENTS has it for 30 days."""
    archive_interval_s: float = Field(86400.0, gt=0)
    gap_detection_at: time = time(0, 0)
    """When missing minute bars are looked for each day (UTC)."""
    snapshot_refresh_s: float = Field(300.0, ge=1)
    stream_monitoring_s: float = Field(60.0, ge=1)
    archive_batch: int = Field(5000, ge=1, le=50_000)
    """The maximum number of jobs in one request; imports wait in the meantime."""
