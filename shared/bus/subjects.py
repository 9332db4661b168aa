"""Every subject, durable and stream name: built here, parsed here, spelled nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

JOBS: Final = "JOBS"
EVENTS: Final = "EVENTS"
FEED: Final = "FEED"
DEAD: Final = "DEAD"
ADVISORIES: Final = "ADVISORIES"
SOURCES: Final = "SOURCES"
TURNS: Final = "TURNS"

ALL_COMMANDS: Final = "gex.job.>"
ALL_EVENTS: Final = "gex.event.job.>"
ALL_LIVE: Final = "gex.feed.>"
ALL_DEAD_LETTERS: Final = "gex.dead.>"
ALL_SOURCES: Final = "gex.source.>"
ALL_TURNS: Final = "gex.turn.>"
ALL_HEARTBEATS: Final = "gex.heartbeat.>"
ALL_PROGRESS: Final = "gex.progress.>"
ALL_ADVISORIES: Final = (
    f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{JOBS}.>",
    f"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{JOBS}.>",
)
"""Where the broker says that a command will not be delivered again."""

REPLAY: Final = "gex.svc.jobs.replay"
LAKE: Final = "gex.svc.lake"
"""Prefix of the importer's read-only endpoints: ``.ledger``, ``.coverage``, ``.days``, ``.sql``."""

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_ESCAPED = re.compile(r"-([0-9A-F]{2})")


class Stage(StrEnum):
    """A step of a job that a worker does."""

    FETCH = "fetch"
    IMPORT = "import"


class Priority(StrEnum):
    """How urgent a job is; declared most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class EventType(StrEnum):
    """The facts that EVENTS holds about a job."""

    REQUESTED = "requested"
    STARTED = "started"
    STAGED = "staged"
    IMPORTED = "imported"
    SKIPPED = "skipped"
    NO_DATA = "no_data"
    FAILED = "failed"
    REPLAYED = "replayed"


@dataclass(frozen=True)
class CommandSubject:
    """The parts of ``gex.job.<stage>.<priority>.<ticker>``."""

    stage: Stage
    priority: Priority
    ticker: str

    def __str__(self) -> str:
        return f"gex.job.{self.stage}.{self.priority}.{encode_token(self.ticker)}"


def parse_command(subject: str) -> CommandSubject:
    """Read a command's subject.

    Raises:
        ValueError: it is not one.
    """
    match subject.split("."):
        case ["gex", "job", stage, priority, ticker]:
            return CommandSubject(Stage(stage), Priority(priority), decode_token(ticker))
        case _:
            raise ValueError(f"{subject!r} is not the subject of a command")


def commands(stage: Stage, priority: Priority | None = None) -> str:
    """Return the filter for a stage's commands, of one priority or of all."""
    return f"gex.job.{stage}.{priority}.>" if priority else f"gex.job.{stage}.>"


def durable(stage: Stage, priority: Priority) -> str:
    """Return the name of the durable consumer of a stage and priority."""
    return f"{stage}_{priority}"


def next_message(stream: str, consumer: str) -> str:
    """Return where the broker is asked for the next messages of a consumer (JetStream's API)."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def next_command(stage: Stage, priority: Priority) -> str:
    """Return where the broker is asked for the next command of a stage and priority."""
    return next_message(JOBS, durable(stage, priority))


def event(what: EventType, job_id: UUID) -> str:
    """Return the subject of a fact about a job."""
    return f"gex.event.job.{what}.{job_id}"


def dead(subject: str) -> str:
    """Return where the dead letter of a message goes."""
    return f"gex.dead.{subject}"


def source(base_url: str) -> str:
    """Return where the record of a source is kept."""
    return f"gex.source.{encode_token(base_url)}"


def vendor_lease(ticker: str, endpoint: str) -> str:
    """Return where a fetcher takes its turn to ask the vendor's API about a ticker and endpoint."""
    return f"gex.turn.{encode_token(ticker)}.{encode_token(endpoint)}"


def heartbeat(service: str) -> str:
    """Return where a service says that it is alive (core NATS)."""
    return f"gex.heartbeat.{service}"


def ping(service: str) -> str:
    """Return where a service is asked whether it is there (NATS micro)."""
    return f"$SRV.PING.{service}"


def progress(job_id: UUID) -> str:
    """Return where the progress of a job is told several times a second (core NATS)."""
    return f"gex.progress.{job_id}"


def lake(endpoint: str) -> str:
    """Return the subject of one of the importer's query endpoints."""
    return f"{LAKE}.{endpoint}"


def encode_token(text: str) -> str:
    """Encode any text as one subject token of ``[A-Za-z0-9_-]``; ``decode_token`` reverses it."""
    return "".join(
        char if _PLAIN.fullmatch(char) else "".join(f"-{byte:02X}" for byte in char.encode()) for char in text
    )


def decode_token(token: str) -> str:
    """Reverse ``encode_token``.

    Raises:
        ValueError: the token is not an encoding.
    """
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), token)
    try:
        text = raw.encode("latin-1").decode()
    except UnicodeError:
        text = ""
    if not token or encode_token(text) != token:
        raise ValueError(f"{token!r} is not an encoded token")
    return text
