"""The ledger: one row a job in ``gex_history_queue``, the lasting record of what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace
from datetime import date, datetime
from functools import singledispatch
from typing import Any, Final
from uuid import UUID

import duckdb

from shared.job_states import FINISHED, Status
from shared.messages import (
    Event,
    FileStaged,
    Job,
    JobFailed,
    JobReplayed,
    JobSkipped,
    JobStarted,
    PartitionImported,
)
from shared.subjects import Stage

_RANK: Final = {
    Status.PENDING: 0,
    Status.STARTED: 1,
    Status.STAGED: 2,
    Status.COMMITTED: 3,
    Status.COMPLETED: 4,
    Status.SKIPPED: 4,
    Status.FAILED: 4,
}


@dataclass(frozen=True)
class LedgerRow:
    """One row, its fields named and ordered as the table's columns."""

    id: str
    url: str
    base_url: str
    ticker: str
    endpoint: str
    trading_day: date | None
    status: Status
    attempts: int
    last_error: str | None
    checksum: str | None
    bytes: int | None
    records_processed: int | None
    strike_rows: int | None
    parquet_path: str | None
    parquet_checksum: str | None
    replaced_checksum: str | None
    replaced_records: int | None
    replaced_strike_rows: int | None
    reason: str | None
    correction_of: str | None
    generation: int
    requested_at: datetime
    created_at: datetime
    updated_at: datetime


COLUMNS: Final = ", ".join(field.name for field in fields(LedgerRow))
_PLACES: Final = ", ".join("?" for _ in fields(LedgerRow))


def fresh(job: Job, at: datetime, created_at: datetime | None = None) -> LedgerRow:
    """Return the row of a job that was just asked for."""
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(LedgerRow)), None)
    return LedgerRow(
        **{
            **nothing,
            "id": str(job.job_id),
            "url": job.base_url,
            "base_url": job.base_url,
            "ticker": job.ticker,
            "endpoint": job.endpoint,
            "trading_day": job.trading_day,
            "status": Status.PENDING,
            "attempts": 0,
            "generation": job.generation,
            "requested_at": job.requested_at,
            "created_at": created_at or job.requested_at,
            "updated_at": at,
        }
    )


def of_generation(row: LedgerRow | None, job: Job, at: datetime) -> LedgerRow | None:
    """Return the row for a job's generation to be written into, or None if the row is of a later one."""
    if row is None:
        return fresh(job, at)
    if _is_older(row, job):
        return fresh(job, at, created_at=row.created_at)
    return row if row.generation == job.generation else None


def advance(row: LedgerRow | None, event: Event, at: datetime) -> LedgerRow | None:
    """Return the row after a fact about its job; facts told twice or late change nothing."""
    current = of_generation(row, event.job, at)
    if current is None:
        return row
    return _take_in(event, current, at)


@singledispatch
def _take_in(_event: Event, row: LedgerRow, _at: datetime) -> LedgerRow:
    return row


@_take_in.register
def _started(event: JobStarted, row: LedgerRow, at: datetime) -> LedgerRow:
    started = replace(row, attempts=max(row.attempts, event.start))
    return _moved(started, Status.STARTED, at) if event.stage is Stage.FETCH else started


@_take_in.register
def _staged(event: FileStaged, row: LedgerRow, at: datetime) -> LedgerRow:
    return _moved(row, Status.STAGED, at, checksum=event.sha256, bytes=event.size_bytes, attempts=0)


@_take_in.register
def _replayed(event: JobReplayed, row: LedgerRow, at: datetime) -> LedgerRow:
    return _moved(row, Status.STAGED, at) if event.stage is Stage.IMPORT else row


@_take_in.register
def _failed(event: JobFailed, row: LedgerRow, at: datetime) -> LedgerRow:
    if row.status in FINISHED:
        return row
    noted = replace(row, last_error=event.error, updated_at=at)
    return replace(noted, status=Status.FAILED) if event.final else noted


@_take_in.register
def _skipped(event: JobSkipped, row: LedgerRow, at: datetime) -> LedgerRow:
    counts = {"records_processed": event.snapshots, "strike_rows": event.strike_rows}
    return _moved(row, Status.SKIPPED, at, checksum=event.sha256, last_error=None, **counts)


@_take_in.register
def _imported(event: PartitionImported, row: LedgerRow, at: datetime) -> LedgerRow:
    counts = {"records_processed": event.snapshots, "strike_rows": event.strike_rows}
    return _moved(row, Status.COMPLETED, at, checksum=event.sha256, last_error=None, **counts)


def read(connection: duckdb.DuckDBPyConnection, job_ids: Iterable[UUID | str]) -> dict[str, LedgerRow]:
    """Return the rows of some jobs by id."""
    wanted = [str(job_id) for job_id in job_ids]
    found = connection.execute(
        f"SELECT {COLUMNS} FROM gex_history_queue WHERE list_contains(?, id)",  # noqa: S608 (constants)
        [wanted],
    ).fetchall()
    return {row.id: row for row in (_from_columns(values) for values in found)}


def write(connection: duckdb.DuckDBPyConnection, rows: Iterable[LedgerRow]) -> None:
    """Write rows in place of those of the same jobs; call it within a transaction."""
    changed = list(rows)
    connection.execute(
        "DELETE FROM gex_history_queue WHERE list_contains(?, id)", [[row.id for row in changed]]
    )
    for row in changed:
        connection.execute(
            f"INSERT INTO gex_history_queue ({COLUMNS}) VALUES ({_PLACES})",  # noqa: S608 (constants)
            list(astuple(row)),
        )


def _from_columns(values: tuple[Any, ...]) -> LedgerRow:
    row = LedgerRow(*values)
    return replace(row, status=Status(row.status))


def _is_older(row: LedgerRow, job: Job) -> bool:
    return row.generation < job.generation or (
        row.generation > job.generation and row.requested_at < job.requested_at
    )


def _moved(row: LedgerRow, status: Status, at: datetime, **changes: Any) -> LedgerRow:
    if _RANK[status] <= _RANK[row.status]:
        return row
    return replace(row, status=status, updated_at=at, **changes)
