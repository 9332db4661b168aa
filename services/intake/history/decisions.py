"""What to do with a request for a file that may be known already: values in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from gexlake.api.jobs import Priority
from services.intake.history.request import HistoryRequest
from shared.bus.messages import Command, FetchFile, ImportFile, Job
from shared.job_states import JobState


@dataclass(frozen=True)
class AlreadyQueued:
    """The same request is under way: nothing is published."""

    job: Job


@dataclass(frozen=True)
class Queue:
    """The command is to be published."""

    command: FetchFile


Decision = AlreadyQueued | Queue


def decide(
    asked: HistoryRequest, state: JobState | None, standing: Command | None, now: datetime
) -> Decision:
    """Decide whether a request is a new job, a new generation of a known one, or already under way.

    Args:
        asked: the request.
        state: what is known of the job, if anything.
        standing: the command that moves the unfinished job on, None when it is gone.
        now: the time of the request (UTC).
    """
    if state is None:
        return Queue(_command(asked, 1, None, now))
    generation = state.job.generation
    # The clock may have been set back since: the newer request is never dated before the older one.
    now = max(now, state.job.requested_at)
    if state.is_finished:
        return Queue(_command(asked, generation + 1, None, now))
    if state.command_seq != 0 and standing is None:
        # The command was purged, has expired, or was lost when JOBS was created again.
        return Queue(_command(asked, generation + 1, state, now))
    if state.url_sha256 is None:
        # Its command was published but its event was not: publishing once more shows which of the
        # two stands, because the broker drops a second copy.
        return Queue(_command(asked, generation, state, now, standing))
    if _asks_for_the_same(asked, state, standing):
        return AlreadyQueued(state.job)
    return Queue(_command(asked, generation + 1, state, now, standing))


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
    return source, command.job.priority, command.force


def _asks_for_the_same(asked: HistoryRequest, state: JobState, standing: Command | None) -> bool:
    return (
        asked.url_sha256 == state.url_sha256
        and asked.priority in {None, state.job.priority}
        and asked.force in {None, standing is not None and standing.force}
    )


def _command(
    asked: HistoryRequest,
    generation: int,
    unfinished: JobState | None,
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
        priority=asked.priority or (unfinished.job.priority if unfinished else Priority.MEDIUM),
        requested_at=now,
    )
    return FetchFile(
        job=job,
        url=SecretStr(asked.url),
        body_sha256=asked.posted.sha256 if asked.posted else None,
        force=keeps_force or bool(asked.force),
        reason=standing.reason if keeps_force and standing else asked.reason,
    )


def digest_of_command(command: Command) -> str | None:
    """Return the digest of the URL that a command fetches; None when it fetches none."""
    return command.url_digest if isinstance(command, FetchFile) else None
