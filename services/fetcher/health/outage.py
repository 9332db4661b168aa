"""Jobs that have waited too long for a source that is down."""

from __future__ import annotations

from datetime import datetime

from services.fetcher.errors import CircuitOpenError, SourceGone, SourceUnreachable
from shared.bus.messages import Job


def raise_if_gone(error: SourceUnreachable | CircuitOpenError, job: Job, limit: datetime) -> None:
    """Raise ``SourceGone`` when both the job and the failure of its source are older than ``limit``."""
    if error.failing_since is not None and max(error.failing_since, job.requested_at) <= limit:
        raise SourceGone(error, error.failing_since) from error
