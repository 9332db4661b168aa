"""What to do with a request for a file that may be known already: values in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import SecretStr

from gexlake.api.jobs import Priority
from services.intake.history.request import HistoryRequest
from services.intake.priorities.overrides import as_of, is_more_urgent, joined, overridden
from shared.bus.messages import Command, FetchFile, ImportFile, Job
from shared.bus.requests import Override, PriorityRequest
from shared.job_states import JobState

C = TypeVar("C", bound=Command)


@dataclass(frozen=True)
class AlreadyQueued:
    """The same request is under way: nothing is published."""

    job: Job
    request: PriorityRequest


@dataclass(frozen=True)
class Queue:
    """The command is to be published."""

    command: FetchFile


Decision = AlreadyQueued | Queue


def decide(
    asked: HistoryRequest,
    request: PriorityRequest,
    state: JobState | None,
    standing: Command | None,
) -> Decision:
    """Decide whether a request is a new job, a new generation of a known one, or already under way.

    Args:
        asked: what is requested.
        request: the same with its priority, as if the file were not known.
        state: what is known of the job, if anything.
        standing: the command that moves the unfinished job on, None when it is gone.
    """
    now = request.submitted_at
    if state is None:
        return Queue(_command(asked, request, 1, now))
    generation = state.job.generation
    # The clock may have been set back since: the newer request is never dated before the older one.
    now = max(now, state.requests_from)
    if state.is_finished:
        return Queue(_command(asked, request, generation + 1, now))
    current = as_of(state.job, state.request or request_in(standing))
    request = joined(current, request) if current else _as_urgent_as(state.job.priority, request)
    if state.command_seq != 0 and standing is None:
        # The command was purged, has expired, or was lost when JOBS was created again.
        return Queue(_command(asked, request, generation + 1, now))
    if state.url_sha256 is None:
        # Its command was published but its event was not: publishing once more shows which of the
        # two stands, because the broker drops a second copy.
        return Queue(_command(asked, request, generation, now, standing))
    if request == current and _asks_for_the_same(asked, state, standing):
        return AlreadyQueued(state.job, request)
    return Queue(_command(asked, request, generation + 1, now, standing))


def request_in(command: Command | None) -> PriorityRequest | None:
    """Return the request that a command carries."""
    return command.request if isinstance(command, FetchFile) else None


def _as_urgent_as(priority: Priority, request: PriorityRequest) -> PriorityRequest:
    """Return a request that goes on with a job of an older version, whose priority a client chose."""
    if request.overrides or not is_more_urgent(priority, request.priority_level):
        return request
    override = Override(
        priority_level=priority, priority_score=request.priority_score, at=request.submitted_at
    )
    return overridden(request, override)


def joins(command: Command, standing: Command) -> Command:
    """Return a command that was asked for again, with the request of the one that stands."""
    if not (isinstance(command, FetchFile) and isinstance(standing, FetchFile)):
        return command
    if command.request is None or standing.request is None:
        return command
    return for_request(command, joined(standing.request, command.request))


def for_request(command: C, request: PriorityRequest) -> C:
    """Return a command that belongs to a request, with its priority."""
    changes: dict[str, object] = {"job": command.job.model_copy(update=priority_of(request))}
    if isinstance(command, FetchFile):
        changes["request"] = request
    return command.model_copy(update=changes)


def priority_of(request: PriorityRequest) -> dict[str, Any]:
    """Return the fields that a job has of its request."""
    return {
        "request_id": request.request_id,
        "priority": request.priority_level,
        "priority_score": request.priority_score,
        "deadline": request.deadline,
    }


def is_same_work(one: Command, other: Command) -> bool:
    """Return whether two commands ask for the same, whatever their generation and time."""
    return type(one) is type(other) and _work(one) == _work(other)


def _work(command: Command) -> tuple[object, ...]:
    match command:
        case FetchFile():
            source = command.url_digest
        case ImportFile():
            source = f"{command.staged_path} {command.sha256}"
        case _:
            raise TypeError(command.TYPE)
    return source, command.job.priority, command.job.priority_score, command.force


def _asks_for_the_same(asked: HistoryRequest, state: JobState, standing: Command | None) -> bool:
    return asked.url_sha256 == state.url_sha256 and asked.force in {
        None,
        standing is not None and standing.force,
    }


def _command(
    asked: HistoryRequest,
    request: PriorityRequest,
    generation: int,
    now: datetime,
    standing: Command | None = None,
) -> FetchFile:
    """Return the command; what the client did not say stays as it is in the unfinished job."""
    keeps_force = asked.force is None and standing is not None and standing.force
    job = Job(
        job_id=asked.job_id,
        generation=generation,
        ticker=asked.ticker,
        endpoint=asked.endpoint,
        trading_day=asked.trading_day,
        base_url=asked.base_url,
        requested_at=now,
        **priority_of(request),
    )
    return FetchFile(
        job=job,
        url=SecretStr(asked.url),
        body_sha256=asked.posted.sha256 if asked.posted else None,
        force=keeps_force or bool(asked.force),
        reason=standing.reason if keeps_force and standing else asked.reason,
        request=request,
    )


def digest_of_command(command: Command) -> str | None:
    """Return the digest of the URL that a command fetches; None when it fetches none."""
    return command.url_digest if isinstance(command, FetchFile) else None
