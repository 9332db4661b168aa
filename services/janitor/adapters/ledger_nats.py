"""Requests to the importer's archive endpoint over NATS."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gexlake.api import services
from gexlake.api.rpc import CallFailed, NoService, call
from gexlake.api.services import ArchiveJobsRequest
from services.janitor.errors import ImporterUnavailable
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable

TIMEOUT_S: Final = 900.0
"""Jobs are archived after the import in progress."""


class ImporterLedger:
    """Requests that the importer archives jobs."""

    def __init__(self, bus: Bus, timeout_s: float = TIMEOUT_S) -> None:
        self._bus = bus
        self._timeout_s = timeout_s

    async def archive(self, before: datetime, max_jobs: int) -> int | None:
        """Archive jobs that ended before a moment; return how many, or None if the importer does not run.

        Raises:
            ImporterUnavailable: it does not answer in time, or cannot archive now.
        """
        request = ArchiveJobsRequest(before=before, max_jobs=max_jobs)
        try:
            with translate_errors("request an archive from the importer"):
                response = await call(self._bus.client, services.ARCHIVE_JOBS, request, self._timeout_s)
        except NoService:
            return None
        except (CallFailed, BrokerUnavailable) as error:
            raise ImporterUnavailable(str(error)) from error
        return response.archived
