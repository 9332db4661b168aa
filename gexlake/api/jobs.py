"""The vocabulary of jobs: stages, priorities and states, as HTTP, NATS and the ledger spell them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """A step of a job that workers execute."""

    FETCH = "fetch"
    IMPORT = "import"


class Priority(StrEnum):
    """The urgency of a job, declared most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Status(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    STARTED = "started"
    STAGED = "staged"
    COMMITTED = "committed"
    """In the table but not yet in Parquet; only the ledger has it."""
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


FINISHED: Final = frozenset({Status.COMPLETED, Status.SKIPPED, Status.FAILED})
"""The states that a job ends in."""
