"""The records of sources in the stream SOURCES: read, and written by compare-and-set."""

from __future__ import annotations

from typing import Final

import structlog
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError
from pydantic import ValidationError

from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.sources.record import SourceRecord

WRITE_TRIES: Final = 50
"""At each conflict another writer succeeded, so this many concurrent writers all succeed."""

_WRONG_REVISION: Final = frozenset({10071, 10164})
"""JetStream's error codes for a message that is not the subject's last any more."""
_NEVER: Final = "never"

log = structlog.get_logger(__name__)


class SourceRecords:
    """Reads and writes one record at a time.

    Args:
        bus: the connection.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, base_url: str) -> tuple[SourceRecord, int]:
        """Return the record of a source, an empty one if there is none, and its revision.

        Raises:
            BrokerUnavailable: the broker did not reply in time.
        """
        with translate_errors(f"read {subjects.SOURCES}"):
            try:
                # Not a direct get: a replica may be behind.
                message = await self._bus.js.get_last_msg(subjects.SOURCES, subjects.source(base_url))
            except NotFoundError:
                return SourceRecord(base_url=base_url), 0
        revision = message.seq or 0
        try:
            return SourceRecord.model_validate_json(message.data or b""), revision
        except ValidationError as error:  # of a later version: replaced
            log.warning("source_record_unreadable", source=base_url, problems=error.error_count())
            return SourceRecord(base_url=base_url), revision

    async def write(self, record: SourceRecord, revision: int) -> int | None:
        """Write a record and return its revision; None if it was written after ``revision``.

        A record that a client has changed does not expire with the others.

        Raises:
            BrokerUnavailable: the broker did not reply in time.
        """
        headers = {str(Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): str(revision)}
        if record.is_changed_by_client:
            headers[str(Header.MSG_TTL.value)] = _NEVER
        with translate_errors(f"write {subjects.SOURCES}", subjects.SOURCES):
            try:
                ack = await self._bus.js.publish(
                    subjects.source(record.base_url), record.model_dump_json().encode(), headers=headers
                )
            except APIError as error:
                if error.err_code not in _WRONG_REVISION:
                    raise
                return None
        return int(ack.seq)
