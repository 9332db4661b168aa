"""A job's id as a person types it: whole, or as many of its first characters as only one job has."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from gexlake.api.jobs import JobsPage, JobView
from gexlake.cli.answers import read_as
from gexlake.cli.errors import AmbiguousId, NotAnId, UnknownId
from gexlake.cli.intake_client import Intake

_START: Final = re.compile(r"[0-9a-f-]{1,36}")
_SHOWN: Final = 8
"""How many jobs an error lists."""


def whole_id(intake: Intake, text: str) -> str:
    """Return the id of the job that ``text`` names; intake is asked only if it is not whole.

    Raises:
        NotAnId: it is neither an id nor the start of one.
        UnknownId: no job's id starts with it.
        AmbiguousId: the ids of several jobs do.
    """
    start = text.strip().lower()
    try:
        return str(UUID(start))
    except ValueError:
        pass
    if not _START.fullmatch(start):
        raise NotAnId(text)
    page = read_as(JobsPage, intake.jobs({"id": start, "limit": _SHOWN}), "a list of jobs")
    if not page.jobs:
        raise UnknownId(start)
    if page.total > 1:
        raise AmbiguousId(start, page.total, [_line(job) for job in page.jobs])
    return str(page.jobs[0].id)


def _line(job: JobView) -> str:
    return f"{job.id} {job.ticker} {job.endpoint} {job.trading_day or '-'} {job.state}"
