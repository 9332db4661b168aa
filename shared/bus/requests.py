"""A client's request to bring in data: its priority, why it has it, and what was promised.

Every generation of a job belongs to one request, which its command and its events carry.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, Field

from gexlake.api.jobs import Priority
from gexlake.api.priorities.requests import Channel
from gexlake.api.priorities.rules import DataType
from shared.bus.frozen import Frozen

__all__ = ["Channel", "Override", "PriorityRequest"]


class Override(Frozen):
    """A priority that a client chose, whatever the rules decide."""

    priority_level: Priority
    priority_score: float = Field(ge=0, le=1)
    reason: str | None = None
    by: str | None = None
    """Which client, without its key."""
    at: AwareDatetime


class PriorityRequest(Frozen):
    """A request, its priority, and the promise that the client was given."""

    request_id: UUID
    channel: Channel
    submitted_at: AwareDatetime
    """When intake took it (UTC); the time of its level counts from here, or from its last override."""
    requested_at: AwareDatetime
    """When the client made it, as the client says."""
    source_url: str
    """Without its query."""
    data_type: DataType
    market_symbol: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Without secrets."""
    priority_score: float = Field(ge=0, le=1)
    priority_level: Priority
    decided_by: tuple[str, ...] = ()
    """Names of the rules that decided the score; those of the last override's level are not among them."""
    overrides: tuple[Override, ...] = ()
    """The newest is the last."""
    deadline: AwareDatetime | None = None
    """None for LOW."""
    estimated_s: float | None = None
    """Seconds from ``submitted_at`` to the rows in the lake, as the client was told."""
    queue_position: int | None = None
    """The place in the queue, from 1, as the client was told."""
