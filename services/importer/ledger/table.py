"""Read and write the ledger, the table ``gex_history_queue``: one row a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import duckdb
import structlog

from gexlake.api.jobs import FINISHED, Priority, Status
from services.importer.ledger.row_table import RowTable
from services.importer.ledger.rows import LedgerRow

log = structlog.get_logger(__name__)


def _load(*values: Any) -> LedgerRow:
    row = LedgerRow(*values)
    status, level = Status(row.status), row.priority_level
    # Versions without these columns ended a job with its last change.
    ended_at = row.completed_at or (row.updated_at if status in FINISHED else None)
    return replace(
        row,
        status=status,
        priority_level=Priority(level) if level else None,
        completed_at=ended_at,
        retry_count=row.retry_count or 0,
        is_queued=bool(row.is_queued),
    )


LEDGER: Final = RowTable("gex_history_queue", "id", LedgerRow, _load)
_ARCHIVED: Final = RowTable("archived_jobs", "id", LedgerRow, _load)
read, read_all, write = LEDGER.read, LEDGER.read_all, LEDGER.write


def read_one(connection: duckdb.DuckDBPyConnection, job_id: UUID | str) -> LedgerRow | None:
    """Return the row of a job, or None."""
    return read(connection, [job_id]).get(str(job_id))


def read_archived(
    connection: duckdb.DuckDBPyConnection, job_id: UUID | str, checksum: str
) -> LedgerRow | None:
    """Return the archived row of a job that had a file with a checksum, or None."""
    try:
        found = _ARCHIVED.select(
            connection, "id = ? AND checksum = ? ORDER BY requested_at DESC LIMIT 1", [str(job_id), checksum]
        )
    except duckdb.IOException as error:
        log.warning("archive_unreadable", error=str(error).splitlines()[0])
        return None
    return found[0] if found else None
