"""The endpoint ``gex.svc.lake.archive_jobs``."""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog
from nats.micro.service import Service

from gexlake.api import services
from gexlake.api.rpc import Refused, serve
from gexlake.api.services import ArchiveJobsRequest, ArchiveJobsResponse
from services.importer.errors import StorageTrouble
from services.importer.lake.database import Lake
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.archive import archive_jobs
from services.importer.ledger.keeper import LedgerKeeper
from shared.bus.connection import Bus
from shared.job_states import KEPT_FOR

_NOT_ACCEPTABLE: Final = 422
_LATER: Final = 503

log = structlog.get_logger(__name__)


async def serve_archive(
    service: Service, bus: Bus, lake: Lake, writer: WriterThread, keeper: LedgerKeeper
) -> None:
    """Add the endpoint to the importer's micro service; jobs are archived between two imports."""

    async def archive(request: ArchiveJobsRequest) -> ArchiveJobsResponse:
        if request.before > bus.clock() - KEPT_FOR:
            raise Refused(_NOT_ACCEPTABLE, f"before: must be at least {KEPT_FOR.days} days ago")
        if not keeper.has_caught_up.is_set():
            raise Refused(_LATER, "the importer has not read yet which jobs EVENTS has")
        known = [str(state.job.job_id) for state in keeper.states]
        work = partial(archive_jobs, lake, request.before, request.max_jobs, known)
        return ArchiveJobsResponse(archived=await writer.run(work))

    await serve(service, services.ARCHIVE_JOBS, archive, refusal=_refusal)


def _refusal(error: Exception) -> Refused:
    if isinstance(error, StorageTrouble):
        return Refused(_LATER, str(error))
    log.error("jobs_not_archived", exc_info=error)
    return Refused(500, "an unexpected error, which is in the importer's log")
