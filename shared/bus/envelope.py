"""The envelope around every message on the bus, and its encoding as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple, Self
from uuid import UUID, uuid4

from pydantic import AwareDatetime, ValidationError

from gexlake.api.jobs import Stage
from shared.bus.frozen import Frozen
from shared.bus.messages import (
    Event,
    FetchFile,
    FileStaged,
    ImportFile,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobSkipped,
    JobStarted,
    NoData,
    PartitionImported,
    Payload,
    RowsPublished,
)
from shared.errors import MalformedMessage

COMMANDS: Final[dict[Stage, type[FetchFile | ImportFile]]] = {
    Stage.FETCH: FetchFile,
    Stage.IMPORT: ImportFile,
}
PAYLOADS: Final[dict[str, type[Payload]]] = {
    payload.TYPE: payload
    for payload in (
        FetchFile,
        ImportFile,
        JobRequested,
        JobStarted,
        FileStaged,
        PartitionImported,
        JobSkipped,
        NoData,
        RowsPublished,
        JobFailed,
        JobReplayed,
        JobCancelled,
    )
}


class Envelope(Frozen):
    """The fields that every message on the bus has."""

    type: str
    id: UUID
    occurred_at: AwareDatetime
    job_id: UUID
    payload: dict[str, Any]

    @classmethod
    def seal(cls, payload: Payload, occurred_at: datetime, message_id: UUID | None = None) -> Self:
        """Return the envelope of a payload; its message id is random unless given."""
        return cls(
            type=payload.TYPE,
            id=message_id or uuid4(),
            occurred_at=occurred_at,
            job_id=payload.job.job_id,
            payload=payload.model_dump(mode="json"),
        )

    def encode(self) -> bytes:
        """Return the message as JSON bytes."""
        return self.model_dump_json().encode()

    def open(self, subject: str) -> Payload:
        """Return the payload.

        Raises:
            MalformedMessage: its type is unknown, or it does not match its type.
        """
        payload_type = PAYLOADS.get(self.type)
        if payload_type is None:
            raise MalformedMessage(subject, f"type {self.type!r} is unknown to this version")
        try:
            return payload_type.model_validate(self.payload)
        except ValidationError as error:
            raise MalformedMessage(subject, _first(error)) from error


def decode(subject: str, data: bytes) -> Envelope:
    """Decode an envelope.

    Raises:
        MalformedMessage: the bytes are not the JSON of an envelope.
    """
    try:
        return Envelope.model_validate_json(data)
    except ValidationError as error:
        raise MalformedMessage(subject, _first(error)) from error


class TimedEvent(NamedTuple):
    """An event and when it occurred (UTC)."""

    event: Event
    occurred_at: datetime


def decode_event(subject: str, data: bytes) -> TimedEvent:
    """Decode a message of EVENTS.

    Raises:
        MalformedMessage: the bytes are not an event that this version knows.
    """
    envelope = decode(subject, data)
    payload = envelope.open(subject)
    if not isinstance(payload, Event):
        raise MalformedMessage(subject, f"expected an event, got {envelope.type}")
    return TimedEvent(payload, envelope.occurred_at)


def _first(error: ValidationError) -> str:
    # Without the input: it may hold a signed URL.
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
