"""Replay: do a job again from its message, found by job, by its place in JOBS, or as a dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    SecretStr,
    StrictBool,
    ValidationError,
)

from gexlake.api import services
from gexlake.api.jobs import Stage, deadline_after
from services.intake.errors import NotFound, Unprocessable
from services.intake.history.body_fields import check_reason
from services.intake.history.stored_commands import read_command, read_command_of
from services.intake.priorities.overrides import as_of
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.messages import Command, FetchFile, ImportFile, digest_of
from shared.datasets import find_dataset
from shared.gexbot.dataset import GEXBOT
from shared.gexbot.vendor_api import base_of
from shared.job_states import JobState

_KEPT_IN_JOBS: Final = "commands are kept for 14 days"
_KEPT: Final = {
    subjects.JOBS: f"{_KEPT_IN_JOBS}; post the URL again, or ask for the backfill",
    subjects.DEAD: "dead letters are kept for 90 days; list them with: nats stream view DEAD",
}


@dataclass(frozen=True)
class KnownJob:
    """A job, whose command is looked up."""

    job_id: UUID
    replay_of: ClassVar[str] = "job"
    """What is replayed, as the header ``Gex-Replay-Of`` says it."""


@dataclass(frozen=True)
class StoredCommand:
    """The command at a place in JOBS."""

    sequence: int

    @property
    def replay_of(self) -> str:
        """What is replayed, as the header ``Gex-Replay-Of`` says it."""
        return f"{subjects.JOBS}:{self.sequence}"


@dataclass(frozen=True)
class DeadLetter:
    """The command at a place in DEAD."""

    sequence: int

    @property
    def replay_of(self) -> str:
        """What is replayed, as the header ``Gex-Replay-Of`` says it."""
        return f"{subjects.DEAD}:{self.sequence}"


class ReplayOptions(BaseModel):
    """What the body of ``POST /jobs/{id}/replay`` may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage | None = None
    """Where to start again; by default the stage that the job is in or ended in."""
    force: StrictBool | None = None
    """Replace the partition even by worse data; needs a reason."""
    reason: str | None = None


@dataclass(frozen=True)
class Replay:
    """What to replay, and how."""

    target: KnownJob | StoredCommand | DeadLetter
    options: ReplayOptions


def read_replay_request(body: dict[str, Any]) -> services.ReplayRequest:
    """Read a request that came over NATS.

    Raises:
        Unprocessable: it does not say what to replay, or breaks a rule.
    """
    try:
        return services.ReplayRequest.model_validate(body)
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors()) from error


def replay_of_request(request: services.ReplayRequest) -> Replay:
    """Return what a request asks to replay, and how."""
    options = ReplayOptions(stage=request.stage, force=request.force, reason=request.reason)
    if request.job_id is not None:
        return Replay(KnownJob(request.job_id), options)
    if request.stream_seq is not None:
        return Replay(StoredCommand(request.stream_seq), options)
    return Replay(DeadLetter(request.dead_letter or 0), options)


def read_replay_options(body: dict[str, Any]) -> ReplayOptions:
    """Read the body of the HTTP route.

    Raises:
        Unprocessable: it breaks a rule.
    """
    try:
        return ReplayOptions.model_validate(body)
    except ValidationError as error:
        raise Unprocessable.first_of(error.errors()) from error


async def find_command(bus: Bus, place: StoredCommand | DeadLetter, stage: Stage | None) -> Command:
    """Return the command that stands at a place.

    Raises:
        BrokerUnavailable: no answer in time.
        NotFound: nothing stands there any more.
        Unprocessable: it is no command, or not of the stage asked for.
    """
    match place:
        case StoredCommand():
            command = await _require_command(bus, subjects.JOBS, place.sequence, "stream_seq")
        case DeadLetter():
            command = await _require_command(bus, subjects.DEAD, place.sequence, "dead_letter")
    if stage not in {None, command.STAGE}:
        message = f"stage: the message is a command of the {command.STAGE} stage"
        raise Unprocessable("stage", "stage", message)
    return command


async def find_command_of_job(bus: Bus, job_id: UUID, state: JobState | None, stage: Stage | None) -> Command:
    """Return the command of a job's stage.

    Raises:
        BrokerUnavailable: no answer in time.
        NotFound: the job is unknown, or its command is gone from JOBS.
    """
    if state is None:
        raise unknown_job(job_id)
    stage = stage or _stage_to_replay(state)
    sequence = state.import_command_seq if stage is Stage.IMPORT else state.fetch_command_seq
    if sequence == 0:
        raise NotFound("stage", "not_found", f"no {stage} command of the job {job_id} is known")
    command = await read_command_of(bus, job_id, stage, sequence) or rebuilt(state, stage)
    if command is None:
        then = "ask for the backfill again" if base_of(state.job.base_url) else "post the URL again"
        if state.job.endpoint not in GEXBOT.endpoints:
            then = "have its symbols run again"
        message = f"the {stage} command of the job {job_id} is no longer message {sequence} of JOBS"
        raise NotFound("job_id", "not_found", f"{message}: {_KEPT_IN_JOBS}; {then}")
    return command


def rebuilt(state: JobState, stage: Stage) -> Command | None:
    """Rebuild a command that is gone from JOBS from the job's events; None if they do not suffice.

    A URL with a query cannot be rebuilt, as EVENTS has no secrets; except those that the dataset knows.
    """
    if stage is Stage.FETCH:
        dataset = find_dataset(state.job.endpoint)
        urls = dataset.urls_of(state.job.base_url) if dataset else ()
        whole = next((SecretStr(url) for url in urls if digest_of(url) == state.url_sha256), None)
        return FetchFile(job=state.job, url=whole, force=state.force, reason=state.reason) if whole else None
    if state.staged_path is None or state.sha256 is None or state.size_bytes is None:
        return None
    return ImportFile(
        job=state.job,
        force=state.force,
        reason=state.reason,
        staged_path=state.staged_path,
        size_bytes=state.size_bytes,
        sha256=state.sha256,
        modified_ns=0,
    )


def unknown_job(job_id: UUID) -> NotFound:
    """Say that a job is not known, and where old ones are."""
    return NotFound(
        "id",
        "not_found",
        f"there is no job {job_id} of the last 30 days; older ones are in the lake "
        "(gexlake sql, view all_jobs)",
    )


def next_generation(command: Command, state: JobState | None, asked: ReplayOptions, now: datetime) -> Command:
    """Return the command as a new generation, asked for now; never dated before an older one.

    It belongs to the job's newest request, whose level has a deadline from now on.

    Raises:
        Unprocessable: force without a reason.
    """
    older = [command.job, *([state.job] if state else [])]
    now = max(now, *(job.requested_at for job in older), *([state.requests_from] if state else []))
    job = state.job if state and state.job.request_id else command.job
    changes: dict[str, Any] = {
        "generation": max(job.generation for job in older) + 1,
        "requested_at": now,
        "request_id": job.request_id,
        "priority": job.priority,
        "priority_score": job.priority_score,
        "deadline": deadline_after(job.priority, now),
    }
    again = command.job.model_copy(update=changes)
    update: dict[str, Any] = {"job": again}
    if isinstance(command, FetchFile):
        update["request"] = as_of(again, (state.request if state else None) or command.request)
    if asked.force is not None:
        reason = check_reason(asked.reason, force=asked.force)
        update |= {"force": asked.force, "reason": reason}
    return command.model_copy(update=update)


def _stage_to_replay(state: JobState) -> Stage:
    return Stage.IMPORT if state.stage is Stage.IMPORT and state.import_command_seq else Stage.FETCH


async def _require_command(bus: Bus, stream: str, sequence: int, field: str) -> Command:
    command = await read_command(bus, stream, sequence)
    if command is None:
        raise NotFound(field, "not_found", f"there is no message {sequence} in {stream}: {_KEPT[stream]}")
    return command
