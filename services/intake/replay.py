"""Replay: do a job again from its message, found by job, by its place in JOBS, or as a dead letter."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from services.intake.errors import NotFound, Unprocessable
from services.intake.json_body import read_object
from services.intake.options import check_reason
from services.intake.stored_commands import require_command
from services.intake.validation import first_problem
from shared import subjects
from shared.bus import Bus
from shared.job_states import JobState
from shared.messages import Command
from shared.subjects import Stage


class ReplayOptions(BaseModel):
    """What the body of ``POST /jobs/{id}/replay`` may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage | None = None
    """Where to start again; by default the stage that the job is in or ended in."""
    force: StrictBool | None = None
    """Replace the partition even by worse data; needs a reason."""
    reason: str | None = None


class ReplayRequest(ReplayOptions):
    """What to replay: exactly one of a job, a message of JOBS, and a dead letter."""

    job_id: UUID | None = None
    stream_seq: int | None = Field(None, ge=1)
    dead_letter: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(given is not None for given in (self.job_id, self.stream_seq, self.dead_letter)) != 1:
            raise ValueError("give exactly one of job_id, stream_seq and dead_letter")
        return self

    @property
    def replay_of(self) -> str:
        """What is replayed, as the header ``Gex-Replay-Of`` says it."""
        if self.stream_seq is not None:
            return f"{subjects.JOBS}:{self.stream_seq}"
        return "job" if self.dead_letter is None else f"{subjects.DEAD}:{self.dead_letter}"


def read_replay_request(body: bytes) -> ReplayRequest:
    """Read a request that came over NATS.

    Raises:
        BadRequest: it is no JSON object.
        Unprocessable: it does not say what to replay, or breaks a rule.
    """
    try:
        return ReplayRequest.model_validate(read_object(body))
    except ValidationError as error:
        raise first_problem(error.errors()) from error


def read_replay_options(body: bytes, job_id: UUID) -> ReplayRequest:
    """Read the optional body of the HTTP route.

    Raises:
        BadRequest: there is a body, and it is no JSON object.
        Unprocessable: it breaks a rule.
    """
    try:
        options = ReplayOptions.model_validate(read_object(body) if body.strip() else {})
    except ValidationError as error:
        raise first_problem(error.errors()) from error
    return ReplayRequest(**options.model_dump(), job_id=job_id)


async def find_command(bus: Bus, asked: ReplayRequest) -> Command:
    """Return the command that a place in JOBS or a dead letter holds.

    Raises:
        BrokerUnavailable: no answer in time.
        NotFound: nothing stands there any more.
        Unprocessable: it is no command, or not of the stage asked for.
    """
    if asked.stream_seq is not None:
        command = await require_command(bus, subjects.JOBS, asked.stream_seq, "stream_seq")
    else:
        command = await require_command(bus, subjects.DEAD, asked.dead_letter or 0, "dead_letter")
    if asked.stage not in {None, command.STAGE}:
        raise Unprocessable("stage", "stage", f"stage: the message is a command of the {command.STAGE} stage")
    return command


async def find_command_of_job(bus: Bus, state: JobState | None, asked: ReplayRequest) -> Command:
    """Return the command of a job's stage.

    Raises:
        BrokerUnavailable: no answer in time.
        NotFound: the job is unknown, or its command is gone.
    """
    if state is None:
        raise unknown_job(asked.job_id)
    stage = asked.stage or _stage_to_replay(state)
    sequence = state.import_command_seq if stage is Stage.IMPORT else state.fetch_command_seq
    if sequence == 0:
        raise NotFound("stage", "not_found", f"no {stage} command of the job {asked.job_id} is known")
    return await require_command(bus, subjects.JOBS, sequence, "job_id")


def unknown_job(job_id: UUID | None) -> NotFound:
    """Say that a job is not known, and where old ones are."""
    return NotFound(
        "id",
        "not_found",
        f"there is no job {job_id} of the last 30 days; older ones are in the ledger "
        "(gexlake sql, table gex_history_queue)",
    )


def next_generation(command: Command, state: JobState | None, asked: ReplayRequest, now: datetime) -> Command:
    """Return the command as a new generation, asked for now.

    Raises:
        Unprocessable: force without a reason.
    """
    known = state.job.generation if state else 0
    generation = max(known, command.job.generation) + 1
    changes = {"job": command.job.model_copy(update={"generation": generation, "requested_at": now})}
    if asked.force is None:
        return command.model_copy(update=changes)
    reason = check_reason(asked.reason, force=asked.force)
    return command.model_copy(update={**changes, "force": asked.force, "reason": reason})


def _stage_to_replay(state: JobState) -> Stage:
    return Stage.IMPORT if state.stage is Stage.IMPORT and state.import_command_seq else Stage.FETCH
