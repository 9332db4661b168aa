"""The NATS micro endpoints of the schedule (``gex.svc.scheduler.…``)."""

from __future__ import annotations

from nats.micro.service import Service

from gexlake.api.chronox import scheduler as api
from gexlake.api.chronox.scheduler import RunJob, SchedulerRequest, SchedulerStatus
from gexlake.api.rpc import Refused, serve
from services.janitor.errors import AlreadyRunning, NoSuchDuty
from services.janitor.scheduler import Scheduler

_NOT_FOUND, _CONFLICT, _FAILED = 404, 409, 500


async def serve_schedule(service: Service, scheduler: Scheduler) -> None:
    """Add the endpoints to the janitor's micro service."""

    async def status(_: SchedulerRequest) -> SchedulerStatus:
        return scheduler.status

    async def start(_: SchedulerRequest) -> SchedulerStatus:
        scheduler.start()
        return scheduler.status

    async def stop(_: SchedulerRequest) -> SchedulerStatus:
        scheduler.stop()
        return scheduler.status

    async def run(request: RunJob) -> SchedulerStatus:
        scheduler.run_now(request.job_id)
        return scheduler.status

    await serve(service, api.STATUS, status, refusal=_refusal)
    await serve(service, api.START, start, refusal=_refusal)
    await serve(service, api.STOP, stop, refusal=_refusal)
    await serve(service, api.RUN, run, refusal=_refusal)


def _refusal(error: Exception) -> Refused:
    match error:
        case NoSuchDuty():
            return Refused(_NOT_FOUND, str(error))
        case AlreadyRunning():
            return Refused(_CONFLICT, str(error))
        case _:
            return Refused(_FAILED, f"unexpected: {type(error).__name__}")
