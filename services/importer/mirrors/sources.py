"""The table below the view ``data_sources``, which follows the stream SOURCES.

SOURCES keeps the newest record of each source, for 90 days after its last request; rows stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import duckdb
import structlog
from pydantic import ValidationError

from services.importer.mirrors.columns import insert
from services.importer.mirrors.mirror import Write
from shared.bus import subjects
from shared.bus.follower import Followed
from shared.sources.record import SourceRecord

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SourceRow:
    """A row of ``source_records``."""

    source_id: str
    base_url: str
    name: str
    last_successful_fetch: datetime | None
    total_requests: int
    successful_requests: int
    mean_response_s: float | None
    circuit_open_until: datetime | None
    deactivated_at: datetime | None
    deactivated_by: str | None
    updated_at: datetime


class SourceTable:
    """The newest record of each source, and which of them are not written yet."""

    stream: Final = subjects.SOURCES
    subject: Final = subjects.ALL_SOURCES
    collect_s: Final = 2.0

    def __init__(self) -> None:
        self._rows: dict[str, SourceRow] = {}
        self._changed: set[str] = set()

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._changed)

    def take(self, message: Followed) -> None:
        """Take in one message of SOURCES."""
        try:
            record = SourceRecord.model_validate_json(message.data or b"")
        except ValidationError as error:
            log.warning("source_record_unreadable", subject=message.subject, problems=error.error_count())
            return
        assert message.at is not None  # noqa: S101 (for the type checker: messages of a stream have it)
        self._rows[record.base_url] = _row(record, message.at)
        self._changed.add(record.base_url)

    def caught_up(self) -> None:
        """Take in that SOURCES was read to its end; rows of other sources stay."""

    def write_again(self) -> None:
        """Count all sources as changed."""
        self._changed = set(self._rows)

    def take_changes(self) -> Write:
        """Return what writes the changes since the last call."""
        rows = [self._rows[base_url] for base_url in self._changed]
        self._changed = set()
        return partial(_write, rows=rows)


def _write(connection: duckdb.DuckDBPyConnection, rows: list[SourceRow]) -> None:
    replaced = [row.base_url for row in rows]
    connection.execute("DELETE FROM source_records WHERE base_url IN (SELECT unnest(?))", [replaced])
    insert(connection, "source_records", rows)


def _row(record: SourceRecord, at: datetime) -> SourceRow:
    return SourceRow(
        source_id=str(record.source_id),
        base_url=record.base_url,
        name=record.name,
        last_successful_fetch=record.last_success_at,
        total_requests=record.requests,
        successful_requests=record.successes,
        mean_response_s=record.mean_response_s,
        circuit_open_until=record.open_until,
        deactivated_at=record.deactivated_at,
        deactivated_by=record.deactivated_by,
        updated_at=at,
    )
