"""The endpoint ``gex.svc.lake.snapshot``."""

from __future__ import annotations

from functools import partial

import structlog
from nats.micro.service import Service

from gexlake.api import services
from gexlake.api.rpc import Refused, serve
from gexlake.api.services import SnapshotRequest, SnapshotResponse
from services.importer.backup.snapshot import take_snapshot
from services.importer.errors import StorageTrouble
from services.importer.lake.database import Lake
from services.importer.lake.writer_thread import WriterThread

log = structlog.get_logger(__name__)


async def serve_snapshots(service: Service, lake: Lake, writer: WriterThread) -> None:
    """Add the endpoint to the importer's micro service; a snapshot is taken between two imports."""

    async def snapshot(_request: SnapshotRequest) -> SnapshotResponse:
        return await writer.run(partial(take_snapshot, lake))

    await serve(service, services.SNAPSHOT, snapshot, refusal=_refusal)


def _refusal(error: Exception) -> Refused:
    if isinstance(error, StorageTrouble):
        return Refused(503, str(error))
    log.error("snapshot_failed", exc_info=error)
    return Refused(500, "an unexpected error, which is in the importer's log")
