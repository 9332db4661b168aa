"""What is answered to a replay, over HTTP and over NATS alike."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.intake.handlers import Replayed
from shared.subjects import Stage


class ReplayQueued(BaseModel):
    """A job whose command was published again."""

    status: Literal["queued"] = "queued"
    id: UUID
    generation: int
    stage: Stage
    replay_of: str = Field(examples=["job", "JOBS:17", "DEAD:2"])
    command_seq: int = Field(description="where in JOBS the new command stands")


def queued_again(replayed: Replayed) -> ReplayQueued:
    """Return the answer."""
    return ReplayQueued(
        id=replayed.job.job_id,
        generation=replayed.job.generation,
        stage=replayed.stage,
        replay_of=replayed.replay_of,
        command_seq=replayed.command_seq,
    )
