"""Responses of intake as JSON, complete and valid, for tests of the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gexlake.api.jobs import JobsPage, JobView, Priority, Stage, Status

_AT = datetime(2025, 11, 14, 21, tzinfo=UTC)


def id_of(number: int) -> str:
    """Return the id of a job that a test calls by a number."""
    return str(UUID(int=number))


def job_of(**changes: Any) -> dict[str, Any]:
    """Return a job as intake responds; without changes, a pending one that has fetched nothing."""
    job = JobView(
        id=UUID(int=1),
        state=Status.PENDING,
        status=Status.PENDING,
        ticker="NQ_NDX",
        endpoint="gex_zero",
        trading_day=None,
        url="https://hist.gex.bot/a.json",
        priority=Priority.MEDIUM,
        generation=1,
        stage=Stage.FETCH,
        attempts=0,
        failures=0,
        transitions=[],
        bytes_fetched=0,
        bytes_expected=None,
        progress=None,
        rows=None,
        snapshots=None,
        strike_rows=None,
        checksum=None,
        replaced_checksum=None,
        parquet_path=None,
        parquet_bytes=None,
        skipped=False,
        no_data=False,
        reason=None,
        error=None,
        error_field=None,
        dead_letter_seq=None,
        replay_of=None,
        created_at=_AT,
        requested_at=_AT,
        updated_at=_AT,
    )
    skipped = {"skipped": changes.get("state") == Status.SKIPPED}
    response = job.model_dump(mode="json") | skipped | changes
    return response | {"status": response["state"]}


def page_of(*jobs: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    """Return a page of jobs as intake responds."""
    page = JobsPage(jobs=[], total=len(jobs), limit=500, offset=0, next=following)
    return page.model_dump(mode="json") | {"jobs": list(jobs)}
