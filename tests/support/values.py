"""Messages with default values, for tests to change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import DataType
from shared.bus.messages import Command, FetchFile, ImportFile, Job, JobSkipped, job_id_of
from shared.bus.requests import Channel, PriorityRequest
from shared.sources.settings import SourceSettings

NOON = datetime(2025, 11, 14, 17, 0, tzinfo=UTC)
BASE_URL = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json"

URL_KEY = "dGhlIGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGVzLi4="
"""The key that encrypts signed URLs in tests; the environment of every test has it."""


def url_of(command: Command) -> str:
    """Return the whole URL of a fetch command that intake published."""
    assert isinstance(command, FetchFile)
    return SourceSettings(url_keys=(URL_KEY,)).url_cipher.url_of(command)


def a_job(**changes: Any) -> Job:
    """Return a job of one NQ_NDX day, with ``changes``."""
    values: dict[str, Any] = {
        "ticker": "NQ_NDX",
        "endpoint": "gex_zero",
        "base_url": BASE_URL,
        "generation": 1,
        "trading_day": date(2025, 11, 14),
        "priority": Priority.MEDIUM,
        "requested_at": NOON,
        **changes,
    }
    identity = job_id_of(values["ticker"], values["endpoint"], values["base_url"])
    return Job(**{"job_id": identity, **values})


REQUEST_ID = UUID("0f1f6c58-5d0c-4f0e-9a3b-7d1c2b3a4d5e")


def a_request(**changes: Any) -> PriorityRequest:
    """Return a request for that day, with ``changes``."""
    values: dict[str, Any] = {
        "request_id": REQUEST_ID,
        "channel": Channel.PRIORITY,
        "submitted_at": NOON,
        "requested_at": NOON,
        "source_url": BASE_URL,
        "data_type": DataType.HISTORICAL,
        "market_symbol": "NDX",
        "priority_score": 0.75,
        "priority_level": Priority.HIGH,
        "decided_by": ("Desk",),
        "deadline": NOON + timedelta(minutes=5),
        "estimated_s": 12.5,
        "queue_position": 3,
        **changes,
    }
    return PriorityRequest(**values)


def a_fetch(job: Job | None = None, **changes: Any) -> FetchFile:
    """Return a fetch command."""
    job = job or a_job()
    return FetchFile(**{"job": job, "url": SecretStr(f"{job.base_url}?sig=secret"), **changes})


def an_import(job: Job | None = None, **changes: Any) -> ImportFile:
    """Return an import command."""
    values: dict[str, Any] = {
        "job": job or a_job(),
        "staged_path": "NQ_NDX/gex_zero/2025-11-14_NQ_NDX_classic_gex_zero.json",
        "size_bytes": 10,
        "sha256": "0" * 64,
        "modified_ns": 1,
        **changes,
    }
    return ImportFile(**values)


def a_skip(job: Job | None = None, **changes: Any) -> JobSkipped:
    """Return the event that a job was skipped."""
    values: dict[str, Any] = {
        "job": job or a_job(),
        "trading_day": date(2025, 11, 14),
        "sha256": "0" * 64,
        "snapshots": 3,
        "strike_rows": 30,
        "parquet_path": "NQ_NDX/gex_zero/20251114.strikes.parquet",
        "parquet_bytes": 1_000,
        **changes,
    }
    return JobSkipped(**values)
