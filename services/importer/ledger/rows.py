"""The ledger's row of a job, and how it follows the job's state: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from gexlake.api.jobs import FINISHED, Stage, Status
from services.importer.lake.partitions import PartitionRow
from shared.bus.messages import Command, Job
from shared.job_states import RANK, JobState


@dataclass(frozen=True)
class LedgerRow:
    """One row of ``gex_history_queue``, its fields named and ordered as the table's columns."""

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
    parquet_bytes: int | None
    replaced_checksum: str | None
    replaced_records: int | None
    replaced_strike_rows: int | None
    reason: str | None
    correction_of: str | None
    generation: int
    requested_at: datetime
    created_at: datetime
    updated_at: datetime

    @property
    def job(self) -> Job:
        """The generation of the job in the row."""
        return Job(
            job_id=UUID(self.id),
            generation=self.generation,
            ticker=self.ticker,
            endpoint=self.endpoint,
            trading_day=self.trading_day,
            base_url=self.base_url,
            requested_at=self.requested_at,
        )


def fresh(job: Job, created_at: datetime) -> LedgerRow:
    """Return the row of a generation that was just requested."""
    return LedgerRow(
        id=str(job.job_id),
        url=job.base_url,
        base_url=job.base_url,
        ticker=job.ticker,
        endpoint=job.endpoint,
        trading_day=job.trading_day,
        status=Status.PENDING,
        attempts=0,
        last_error=None,
        checksum=None,
        bytes=None,
        records_processed=None,
        strike_rows=None,
        parquet_path=None,
        parquet_checksum=None,
        parquet_bytes=None,
        replaced_checksum=None,
        replaced_records=None,
        replaced_strike_rows=None,
        reason=None,
        correction_of=None,
        generation=job.generation,
        requested_at=job.requested_at,
        created_at=created_at,
        updated_at=job.requested_at,
    )


def of_generation(row: LedgerRow | None, job: Job) -> LedgerRow | None:
    """Return the row to update for a generation, or None if the row is of a later one."""
    if row is None:
        return fresh(job, job.requested_at)
    if row.job.is_older_than(job):
        return fresh(job, row.created_at)
    return None if job.is_older_than(row.job) else row


def updated_by(row: LedgerRow | None, state: JobState) -> LedgerRow | None:
    """Return the row updated by ``state``; None if nothing changes.

    What the importer wrote itself has more in it and is kept: from a state that is not further, only the
    count of attempts is taken.
    """
    current = of_generation(row, state.job)
    if current is None:
        return None
    if current is row and _is_no_further(state, current):
        updated = replace(current, attempts=_attempts(state) or current.attempts)
    else:
        updated = replace(
            current,
            status=state.status,
            attempts=state.attempts,
            last_error=state.error,
            created_at=row.created_at if row else state.created_at,
            updated_at=state.updated_at,
            **_of_staged_file(state),
            **_of_reason(state),
        )
    return None if updated == row else updated


def _is_no_further(state: JobState, row: LedgerRow) -> bool:
    ahead = RANK[state.status] - RANK[row.status]
    return ahead < 0 or (ahead == 0 and row.status in FINISHED)


def _attempts(state: JobState) -> int:
    return state.attempts if state.stage is Stage.IMPORT else 0


def with_outcome(row: LedgerRow, held: PartitionRow, status: Status, now: datetime) -> LedgerRow:
    """Return the row of a job with a status and the figures of its partition."""
    return replace(
        row,
        trading_day=held.trading_day,
        status=status,
        last_error=None,
        checksum=held.checksum,
        bytes=held.source_bytes,
        records_processed=held.snapshots,
        strike_rows=held.strike_rows,
        parquet_path=held.parquet_path,
        parquet_checksum=held.parquet_checksum,
        parquet_bytes=held.parquet_bytes,
        updated_at=now,
    )


def with_replacement(
    row: LedgerRow, command: Command, before: PartitionRow | None, held: tuple[int, int]
) -> LedgerRow:
    """Return the row with what was replaced, and why.

    Args:
        row: the row of the job that replaces.
        command: its command; forced, it corrects the job that wrote the partition before.
        before: the partition's row before.
        held: how many snapshots and strike rows it held.
    """
    if before is None:
        return replace(row, reason=command.reason)
    return replace(
        row,
        reason=command.reason,
        replaced_checksum=before.checksum,
        replaced_records=held[0],
        replaced_strike_rows=held[1],
        correction_of=before.job_id if command.force else None,
    )


def _of_reason(state: JobState) -> dict[str, Any]:
    reason = state.no_data or state.cancel_reason
    return {} if reason is None else {"reason": reason}


def _of_staged_file(state: JobState) -> dict[str, Any]:
    if state.stage is Stage.FETCH:
        return {}  # what the state knows is of an older generation's file
    known = {
        "checksum": state.sha256,
        "bytes": state.size_bytes,
        "trading_day": state.trading_day,
        "records_processed": state.snapshots,
        "strike_rows": state.strike_rows,
        "parquet_path": state.parquet_path,
        "parquet_bytes": state.parquet_bytes,
        "replaced_checksum": state.replaced_sha256,
    }
    return {name: value for name, value in known.items() if value is not None}
