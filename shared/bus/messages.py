"""The messages on the bus: imperative commands, past-tense events, one envelope around both.

Within v1 only optional fields are added, and readers ignore fields that they do not know. A golden JSON of
every type stands in ``tests/golden/``.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from functools import partial
from operator import is_, not_
from typing import Annotated, ClassVar, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, Field, PlainSerializer, SecretStr

from gexlake.api.jobs import Priority, Stage, Status
from shared.bus.frozen import Frozen
from shared.bus.requests import PriorityRequest
from shared.bus.subjects import EventType, command, event

SignedUrl = Annotated[SecretStr, PlainSerializer(lambda url: url.get_secret_value(), when_used="json")]
"""A URL whose query may be a secret: plain in JSON on the bus, hidden wherever Python would print it."""

_MAX_CLOCK_SKEW: Final = timedelta(days=1)

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


_is_none: Final = partial(is_, None)


class Job(Frozen):
    """One source file to import into the lake; every message about it carries this."""

    job_id: UUID
    generation: int = Field(ge=1)
    ticker: str
    endpoint: str
    trading_day: date | None
    """None when the file's name does not contain it; the importer then takes it from the records."""
    base_url: str
    """The source URL without its query."""
    priority: Priority = Priority.MEDIUM
    requested_at: AwareDatetime
    """When this generation was requested (UTC)."""
    request_id: UUID | None = Field(default=None, exclude_if=_is_none)
    """The client's request; None in messages of older versions."""
    priority_score: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)
    deadline: AwareDatetime | None = Field(default=None, exclude_if=_is_none)
    """When it is due (UTC); None for LOW, and in messages of older versions."""

    def is_older_than(self, other: Job) -> bool:
        """Return whether ``other`` is a later request for the same file.

        The generation decides, unless the requests are more than a day apart: the counter restarts once
        EVENTS has dropped the job. A day is JetStream's dedupe window, and more than clocks differ.
        """
        later_by = other.requested_at - self.requested_at
        if abs(later_by) > _MAX_CLOCK_SKEW:
            return later_by > timedelta(0)
        return self.generation < other.generation


def job_id_of(ticker: str, endpoint: str, base_url: str) -> UUID:
    """Return the natural identity of a job: the UUIDv5 of ticker, endpoint and the URL without its query."""
    return uuid5(NAMESPACE_URL, f"{ticker}\n{endpoint}\n{base_url}")


def digest_of(url: str) -> str:
    """Return the SHA-256 by which a whole URL is recognised without being kept."""
    return hashlib.sha256(url.encode()).hexdigest()


def digest_with_body(url_sha256: str, body_sha256: str | None) -> str:
    """Return the digest of a source: that of its URL, or of the URL and the file that was posted with it."""
    return digest_of(f"{url_sha256} {body_sha256}") if body_sha256 else url_sha256


class Payload(Frozen):
    """The content of an envelope."""

    TYPE: ClassVar[str]
    job: Job

    @property
    def subject(self) -> str:
        """Where the message is published."""
        raise NotImplementedError

    @property
    def msg_id(self) -> str:
        """The ``Nats-Msg-Id`` by which JetStream drops a second copy."""
        raise NotImplementedError


class Command(Payload):
    """One piece of work for the workers of a stage."""

    STAGE: ClassVar[Stage]
    force: bool = False
    """Replace the partition even with worse data; requires a reason."""
    reason: str | None = None

    @property
    def subject(self) -> str:
        return command(self.STAGE, self.job.priority, self.job.ticker)


class FetchFile(Command):
    """Download the source file and stage it."""

    TYPE = "gex.job.v1.fetch"
    STAGE = Stage.FETCH
    url: SignedUrl
    """Without its query if ``encrypted_url`` is set; commands of older versions have the whole URL here."""
    encrypted_url: str | None = Field(default=None, exclude_if=not_)
    """The whole URL, encrypted with a key of the deployment: ``shared.sources.url_encryption``."""
    url_sha256: Sha256 | None = Field(default=None, exclude_if=not_)
    """Digest of the whole URL when that is encrypted."""
    body_seq: int | None = Field(default=None, exclude_if=not_)
    """Sequence in BODIES of the file itself, which the client posted: it is not fetched from the URL."""
    body_sha256: Sha256 | None = Field(default=None, exclude_if=not_)
    """Checksum of that file."""
    request: PriorityRequest | None = Field(default=None, exclude_if=_is_none)
    """Who asked for it and why it has its priority; None in messages of older versions."""

    @property
    def url_digest(self) -> str:
        """The digest of the whole URL and a posted file, which compares two commands without a key."""
        url_sha256 = self.url_sha256 or digest_of(self.url.get_secret_value())
        return digest_with_body(url_sha256, self.body_sha256)

    @property
    def msg_id(self) -> str:
        return f"{self.job.job_id}:{self.job.generation}"


class ImportFile(Command):
    """Replace a partition with the content of the staged file."""

    TYPE = "gex.job.v1.import"
    STAGE = Stage.IMPORT
    staged_path: str
    """Relative to the staging folder, with forward slashes."""
    size_bytes: int = Field(ge=0)
    sha256: Sha256
    modified_ns: int
    """The staged file's modification time, which detects that another download has replaced the file. 0 when
    unknown: the checksum is compared instead."""

    @property
    def msg_id(self) -> str:
        # Both stages share the stream JOBS and so its dedupe window: see docs/adr/0006.
        return f"{self.job.job_id}:{self.job.generation}:import"


class Event(Payload):
    """Something that happened to a job."""

    EVENT_TYPE: ClassVar[EventType]

    @property
    def subject(self) -> str:
        return event(self.EVENT_TYPE, self.job.job_id)

    @property
    def msg_id(self) -> str:
        return f"{self.job.job_id}:{self.job.generation}:{self.EVENT_TYPE}"


class RequestEvent(Event):
    """A job was requested; carries the command's ``force`` too, because the command expires earlier."""

    force: bool = Field(default=False, exclude_if=not_)
    """Replace the partition even with worse data."""
    reason: str | None = Field(default=None, exclude_if=not_)
    request: PriorityRequest | None = Field(default=None, exclude_if=_is_none)
    """The request as it is now; None in messages of older versions, and if it stays as it was."""


class JobRequested(RequestEvent):
    """A client requested the file, for the first time, again, or with a fresh signature."""

    TYPE = "gex.event.v1.requested"
    EVENT_TYPE = EventType.REQUESTED
    command_seq: int
    """Stream sequence of the fetch command in JOBS."""
    url_sha256: Sha256
    """Of the whole URL: detects a fresh signature without storing it."""


class JobStarted(Event):
    """A worker started a stage of the job."""

    TYPE = "gex.event.v1.started"
    EVENT_TYPE = EventType.STARTED
    stage: Stage
    start: int = Field(ge=1)
    """How many times this stage of this generation has been started, this one included."""

    @property
    def msg_id(self) -> str:
        return f"{super().msg_id}:{self.stage}:{self.start}"


class FileStaged(Event):
    """The source file is complete on disk and its import command is published."""

    TYPE = "gex.event.v1.staged"
    EVENT_TYPE = EventType.STAGED
    staged_path: str
    size_bytes: int
    sha256: Sha256
    command_seq: int
    """Stream sequence of the import command in JOBS."""


class PartitionImported(Event):
    """The partition holds the file's records, in DuckDB and in Parquet."""

    TYPE = "gex.event.v1.imported"
    EVENT_TYPE = EventType.IMPORTED
    trading_day: date
    sha256: Sha256
    snapshots: int = 0
    strike_rows: int = 0
    parquet_path: str
    """Relative to the Parquet folder, with forward slashes."""
    parquet_bytes: int
    parquet_sha256: Sha256
    replaced_sha256: Sha256 | None = None
    """Checksum of the file that the partition was imported from before."""
    counts: dict[str, int] | None = Field(default=None, exclude_if=_is_none)
    """What was imported, by the dataset's names; None for the dataset that has snapshots and strike rows."""


class JobSkipped(Event):
    """The partition already holds the records of an identical file."""

    TYPE = "gex.event.v1.skipped"
    EVENT_TYPE = EventType.SKIPPED
    trading_day: date
    sha256: Sha256
    snapshots: int = 0
    strike_rows: int = 0
    parquet_path: str
    """Relative to the Parquet folder, with forward slashes."""
    parquet_bytes: int
    counts: dict[str, int] | None = Field(default=None, exclude_if=_is_none)
    """What the file holds, by the dataset's names."""
    own_import: bool = False
    """Whether an earlier generation of this job imported that file: the job stays completed."""

    @property
    def status(self) -> Status:
        """The status that the job ends in."""
        return Status.COMPLETED if self.own_import else Status.SKIPPED


class NoData(Event):
    """The vendor has no data for the job's day; this is not a failure."""

    TYPE = "gex.event.v1.no_data"
    EVENT_TYPE = EventType.NO_DATA
    reason: str
    """Where that is known from, for people."""


class RowsPublished(Event):
    """The rows that the job fetches are stored in CHRONOX, from where the lake takes them."""

    TYPE = "gex.event.v1.published"
    EVENT_TYPE = EventType.PUBLISHED
    counts: dict[str, int]
    """How many rows, by the dataset's names: ``bars`` or ``snapshots``."""


class JobFailed(Event):
    """An attempt failed or was deferred; a permanent failure (``final``) leaves a dead letter."""

    TYPE = "gex.event.v1.failed"
    EVENT_TYPE = EventType.FAILED
    stage: Stage
    failures: int = Field(ge=0)
    """How many attempts of this stage of this generation have failed, this one included if it counts."""
    waits: int = Field(default=0, ge=0)
    """How many attempts were deferred, which do not count as failures."""
    start: int | None = Field(default=None, exclude_if=_is_none)
    """The number of the attempt's start; None in messages of older versions."""
    final: bool
    error: str
    field: str | None = None
    refused: bool = Field(default=False, exclude_if=not_)
    """Whether the source says that it does not give this data, and will not give it later."""
    dead_letter_seq: int | None = None
    """Stream sequence of the dead letter in DEAD."""

    @property
    def msg_id(self) -> str:
        waits = f":{self.waits}" if self.waits else ""
        return f"{super().msg_id}:{self.stage}:{self.failures}{waits}"


class JobReplayed(RequestEvent):
    """The job's command was published again, as a new generation."""

    TYPE = "gex.event.v1.replayed"
    EVENT_TYPE = EventType.REPLAYED
    stage: Stage
    replay_of: str
    """What was replayed: ``job``, ``JOBS:<seq>`` or ``DEAD:<seq>``."""
    command_seq: int
    url_sha256: Sha256 | None = None


class JobCancelled(Event):
    """A client cancelled the job while no worker had it: its command is not executed any more."""

    TYPE = "gex.event.v1.cancelled"
    EVENT_TYPE = EventType.CANCELLED
    reason: str | None = None
    by: str | None = None
    """Which client, without its key."""
