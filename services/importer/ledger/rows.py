"""The ledger's row of a job, and how it follows the job's state: values in, values out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from gexlake.api.jobs import FINISHED, Priority, Stage, Status
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
    request_id: str | None
    priority_level: Priority | None
    """None for rows of older versions."""
    priority_score: float | None
    deadline: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    """When the generation ended, successfully or not."""
    retry_count: int
    """How many failed attempts of the current stage were repeated."""
    is_queued: bool
    """Whether it waits for its first attempt, or for the next one after one that failed."""
    counts: str | None
    """A JSON object: what the job brought in, of a dataset without snapshots and strike rows."""

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
            priority=self.priority_level or Priority.MEDIUM,
            requested_at=self.requested_at,
            request_id=UUID(self.request_id) if self.request_id else None,
            priority_score=self.priority_score,
            deadline=self.deadline,
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
        started_at=None,
        completed_at=None,
        retry_count=0,
        is_queued=True,
        counts=None,
        **_of_request(job),
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
    counts of attempts, the time of the first one and the request are taken.
    """
    current = of_generation(row, state.job)
    if current is None:
        return None
    if current is row and _is_no_further(state, current):
        updated = replace(
            current,
            attempts=_attempts(state) or current.attempts,
            started_at=_started_at(state) or current.started_at,
            retry_count=max(_retries_of_import(state), current.retry_count),
            **_of_request(state.job),
        )
    else:
        updated = replace(
            current,
            status=state.status,
            attempts=state.attempts,
            last_error=state.error,
            created_at=row.created_at if row else state.created_at,
            updated_at=state.updated_at,
            started_at=_started_at(state),
            completed_at=state.updated_at if state.is_finished else None,
            retry_count=_retries(state),
            is_queued=_is_queued(state),
            **_of_request(state.job),
            **_of_staged_file(state),
            **_of_counts(state),
            **_of_reason(state),
        )
    return None if updated == row else updated


def _is_no_further(state: JobState, row: LedgerRow) -> bool:
    ahead = RANK[state.status] - RANK[row.status]
    return ahead < 0 or (ahead == 0 and row.status in FINISHED)


def _attempts(state: JobState) -> int:
    return state.attempts if state.stage is Stage.IMPORT else 0


def _started_at(state: JobState) -> datetime | None:
    """Return when the job was started; another machine's clock may have it before the request."""
    return None if state.started_at is None else max(state.started_at, state.job.requested_at)


def _is_queued(state: JobState) -> bool:
    has_failed = state.failures > 0 or state.waits > 0
    is_waiting = not state.is_running and (has_failed or state.started_at is None)
    return is_waiting and not state.is_finished


def _retries(state: JobState) -> int:
    is_last = state.status is Status.FAILED
    return max(0, state.failures - is_last)


def _retries_of_import(state: JobState) -> int:
    return _retries(state) if state.stage is Stage.IMPORT else 0


def _of_request(job: Job) -> dict[str, Any]:
    """Return the columns of a job's request; messages of older versions have none but the level."""
    return {
        "request_id": str(job.request_id) if job.request_id else None,
        "priority_level": job.priority,
        "priority_score": job.priority_score,
        "deadline": job.deadline,
    }


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
        completed_at=now if status in FINISHED else None,
        is_queued=False,
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


def _of_counts(state: JobState) -> dict[str, Any]:
    if state.counts is None:
        return {}
    return {"counts": json.dumps(dict(state.counts)), "records_processed": state.records}


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
