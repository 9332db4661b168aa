"""The events that the importer publishes, from the rows that it has written."""

from __future__ import annotations

from gexlake.api.jobs import Status
from services.importer.lake.partitions import PartitionRow
from services.importer.ledger.rows import LedgerRow
from shared.bus.messages import Job, JobSkipped, PartitionImported


def imported(job: Job, row: PartitionRow) -> PartitionImported:
    """Return the event that a partition was imported."""
    return PartitionImported(
        job=job,
        trading_day=row.trading_day,
        sha256=row.checksum,
        snapshots=row.snapshots,
        strike_rows=row.strike_rows,
        parquet_path=row.parquet_path,
        parquet_bytes=row.parquet_bytes,
        parquet_sha256=row.parquet_checksum,
        replaced_sha256=row.replaced_checksum,
    )


def skipped(job: Job, held: PartitionRow) -> JobSkipped:
    """Return the event that a partition holds the job's file already."""
    return JobSkipped(
        job=job,
        own_import=held.job_id == str(job.job_id),
        trading_day=held.trading_day,
        sha256=held.checksum,
        snapshots=held.snapshots,
        strike_rows=held.strike_rows,
        parquet_path=held.parquet_path,
        parquet_bytes=held.parquet_bytes,
    )


def event_of(job: Job, row: LedgerRow) -> PartitionImported | JobSkipped:
    """Return the event that ended a job, from its ledger row."""
    ended = {
        "job": job,
        "trading_day": row.trading_day,
        "sha256": row.checksum,
        "snapshots": row.records_processed,
        "strike_rows": row.strike_rows,
        "parquet_path": row.parquet_path,
        "parquet_bytes": row.parquet_bytes,
    }
    if row.status is Status.SKIPPED:
        return JobSkipped.model_validate(ended)
    parquet = {"parquet_sha256": row.parquet_checksum, "replaced_sha256": row.replaced_checksum}
    return PartitionImported.model_validate({**ended, **parquet})
