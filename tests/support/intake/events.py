"""Jobs and events with default values, for tests of what intake makes of them."""

from __future__ import annotations

from datetime import date, timedelta

from gexlake.api.jobs import Priority, Stage, deadline_after
from shared.bus.messages import FileStaged, Job, JobFailed, JobRequested, JobStarted, PartitionImported
from shared.bus.requests import PriorityRequest
from tests.support.values import NOON, a_job

SHA = "a" * 64


def numbered(number: int, priority: Priority, asked_s: float = 0, **changes: object) -> Job:
    """Return a job of a file of its own, requested some seconds after noon, with its level's deadline."""
    at = NOON + timedelta(seconds=asked_s)
    given = {"priority": priority, "requested_at": at, "deadline": deadline_after(priority, at), **changes}
    return a_job(base_url=f"https://hist.gex.bot/{number}.json", **given)


def requested(job: Job, request: PriorityRequest | None = None) -> JobRequested:
    return JobRequested(job=job, command_seq=1, url_sha256=SHA, request=request)


def staged(job: Job, size_bytes: int = 1) -> FileStaged:
    return FileStaged(job=job, staged_path="p", size_bytes=size_bytes, sha256=SHA, command_seq=2)


def started(job: Job, stage: Stage = Stage.FETCH) -> JobStarted:
    return JobStarted(job=job, stage=stage, start=1)


def imported(job: Job, snapshots: int = 1, strike_rows: int = 100) -> PartitionImported:
    return PartitionImported(
        job=job,
        trading_day=date(2025, 11, 14),
        sha256=SHA,
        snapshots=snapshots,
        strike_rows=strike_rows,
        parquet_path="p",
        parquet_bytes=1,
        parquet_sha256=SHA,
    )


def failed(job: Job, failures: int = 1, *, final: bool = False) -> JobFailed:
    return JobFailed(job=job, stage=Stage.FETCH, failures=failures, final=final, error="refused")
