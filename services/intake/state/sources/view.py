"""What intake knows of the sources: their records, followed in SOURCES, and how they are shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from pydantic import ValidationError

from gexlake.api.sources import Circuit, CircuitView, DataSource
from services.intake.errors import NotReady
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import Followed, follow
from shared.sources.record import SourceRecord

log = structlog.get_logger(__name__)


class KnownSources:
    """The newest record of every source; kept in memory only."""

    def __init__(self) -> None:
        self._records: dict[str, SourceRecord] = {}
        self._revisions: dict[str, int] = {}
        self._position = 0
        self._is_read = False

    @property
    def records(self) -> tuple[SourceRecord, ...]:
        """All records, by address."""
        return tuple(record for _, record in sorted(self._records.items()))

    def get(self, source_id: UUID) -> SourceRecord | None:
        """Return the record of one source."""
        return next((record for record in self._records.values() if record.source_id == source_id), None)

    def require_read(self) -> None:
        """Refuse while sources may be missing.

        Raises:
            NotReady: the records have not been read to their end.
        """
        if not self._is_read:
            raise NotReady("rebuilding", "intake has not yet read from the broker which sources there are")

    async def follow(self, bus: Bus) -> None:
        """Take in SOURCES, from the first record to those that come, forever."""
        async for message in follow(bus, subjects.SOURCES, subjects.ALL_SOURCES):
            self.take(message)

    def take(self, message: Followed) -> None:
        """Take in one message of SOURCES."""
        if message.data is None:
            self._is_read = True
            return
        if message.sequence <= self._position:  # the stream was created again
            self._revisions.clear()
        self._position = message.sequence
        try:
            record = SourceRecord.model_validate_json(message.data)
        except ValidationError as error:  # of a later version
            log.warning("source_record_unreadable", subject=message.subject, problems=error.error_count())
            return
        self.put(record, message.sequence)

    def put(self, record: SourceRecord, revision: int) -> None:
        """Take in a revision of a record; one that is older than the known is ignored."""
        if revision > self._revisions.get(record.base_url, 0):
            self._revisions[record.base_url] = revision
            self._records[record.base_url] = record


def view_circuit(record: SourceRecord, now: datetime) -> CircuitView:
    """Show whether a source is asked at the moment ``now``."""
    circuit = record.circuit(now)
    return CircuitView(
        base_url=record.base_url,
        circuit=circuit,
        left_alone_until=record.open_until if circuit is Circuit.OPEN else None,
        failures_in_a_row=record.failures_in_a_row,
        last_error=record.last_error,
        deactivated_at=record.deactivated_at,
        deactivated_by=record.deactivated_by,
    )


def view_source(record: SourceRecord, now: datetime) -> DataSource:
    """Show all that is known of a source at the moment ``now``."""
    circuit, mean_s = view_circuit(record, now), record.mean_response_s
    return DataSource(
        **circuit.model_dump(),
        source_id=record.source_id,
        name=record.name,
        reliability_score=record.reliability,
        last_successful_fetch=record.last_success_at,
        total_requests=record.requests,
        successful_requests=record.successes,
        average_response_time=None if mean_s is None else timedelta(seconds=mean_s),
        is_active=circuit.circuit is not Circuit.OPEN and record.deactivated_at is None,
    )
