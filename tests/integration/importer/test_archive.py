"""Requests and jobs in the lake, from EVENTS of a real nats-server, and their archive for the janitor."""

from __future__ import annotations

from pathlib import Path

import pytest

from gexlake.api import services
from gexlake.api.jobs import Stage
from gexlake.api.rpc import Refused, call
from gexlake.api.services import ArchiveJobsRequest
from services.janitor.settings import JanitorSettings
from services.janitor.wiring import archiving
from shared.bus.connection import Bus, utc_now
from shared.bus.messages import JobFailed, JobRequested
from shared.bus.reports.presence import is_answering
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.poll import eventually
from tests.support.system.oracle import query_lake
from tests.support.values import REQUEST_ID, a_job, a_request

URL = "https://hist.gex.bot/missing.json"


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "data", retry_delay_s=0.05)


@pytest.mark.slow
async def test_requests_are_in_the_lake_and_old_jobs_in_the_archive(
    bus: Bus, lake: LakeOnDisk, nats_url: str
) -> None:
    settings = JanitorSettings(nats_url=nats_url, data_dir=lake.settings.data_dir)
    duty = archiving(settings, bus)
    assert await duty.run_once() == {"archived": 0}  # no importer runs
    lake.import_staged(lake.stage(records(3)))  # a job of 2025, which EVENTS does not have
    job = a_job(base_url=URL, request_id=REQUEST_ID, requested_at=utc_now())
    request = a_request(submitted_at=utc_now(), deadline=None)
    await bus.publish_event(JobRequested(job=job, command_seq=1, url_sha256="0" * 64, request=request))
    failed = JobFailed(job=job, stage=Stage.FETCH, failures=1, final=True, error="gone")
    await bus.publish_event(failed)
    joined = "SELECT r.status, j.status FROM priority_requests r JOIN processing_jobs j USING (request_id)"

    async def has_request() -> bool:
        return await query_lake(bus, joined) == [["failed", "FAILED"]]

    async with importing(bus, lake):
        await eventually(lambda: is_answering(bus.client, "importer"))
        await eventually(has_request)
        with pytest.raises(Refused, match="before: must be at least 30 days ago"):
            await call(bus.client, services.ARCHIVE_JOBS, ArchiveJobsRequest(before=utc_now()), 10)
        assert await duty.run_once() == {"archived": 1}
        counts = "SELECT (SELECT count(*) FROM archived_jobs), (SELECT count(*) FROM import_jobs)"
        assert await query_lake(bus, counts) == [[1, 2]]
