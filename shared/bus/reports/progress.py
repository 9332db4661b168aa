"""Progress of a job, published over core NATS several times a second and not stored."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final
from uuid import UUID

from gexlake.api.jobs import Stage
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.frozen import Frozen
from shared.bus.messages import Job
from shared.errors import BrokerUnavailable

INTERVAL_S: Final = 0.2


class Progress(Frozen):
    """How many bytes a stage of a job has processed."""

    job_id: UUID
    generation: int
    stage: Stage
    done_bytes: int
    total_bytes: int | None
    """None when the source gives no length."""


class ProgressReporter:
    """Publishes the progress of one stage of one job, at most every 0.2 s."""

    def __init__(self, bus: Bus, job: Job, stage: Stage) -> None:
        self._bus = bus
        self._job = job
        self._stage = stage
        self._reported_at = 0.0

    async def report(self, done_bytes: int, total_bytes: int | None, *, always: bool = False) -> None:
        """Publish the progress, unless the last report was less than 0.2 s ago.

        Args:
            done_bytes: bytes processed so far.
            total_bytes: bytes in all, or None when the source gives no length.
            always: publish regardless of the last report.
        """
        now = time.monotonic()
        if not always and now - self._reported_at < INTERVAL_S:
            return
        self._reported_at = now
        progress = Progress(
            job_id=self._job.job_id,
            generation=self._job.generation,
            stage=self._stage,
            done_bytes=done_bytes,
            total_bytes=total_bytes,
        )
        with suppress(BrokerUnavailable), translate_errors("publish progress"):
            await self._bus.client.publish(
                subjects.progress(self._job.job_id), progress.model_dump_json().encode()
            )
