"""Days that unfinished jobs fetch are not asked for again."""

from __future__ import annotations

from datetime import date

import pytest

from gexlake.api.chronox.bars import Fill
from gexlake.api.jobs import Stage
from services.intake.bars.under_way import UnderWay
from shared.bus.messages import JobFailed, JobRequested
from shared.job_states import JobStates
from shared.massive.resources import FlatFile, MassiveUrls, MinuteBars
from tests.support.values import NOON, a_job

URLS = MassiveUrls()
OCTOBER = MinuteBars("AAPL", date(2025, 10, 1), date(2025, 10, 31))
NOVEMBER = MinuteBars("AAPL", date(2025, 11, 3), date(2025, 11, 13))
FILE = FlatFile(date(2025, 11, 14))
ADJUSTED = MinuteBars("AAPL", date(2025, 11, 17), date(2025, 11, 17), adjusted=True)
ENDED = MinuteBars("AAPL", date(2025, 11, 18), date(2025, 11, 18))


@pytest.mark.parametrize(
    ("symbol", "first", "last", "expected"),
    [
        ("AAPL", date(2025, 10, 20), date(2025, 11, 14), True),
        ("AAPL", date(2025, 11, 1), date(2025, 11, 2), True),  # a weekend
        ("AAPL", date(2025, 11, 14), date(2025, 11, 17), False),
        ("AAPL", date(2025, 11, 18), date(2025, 11, 18), False),
        ("MSFT", date(2025, 11, 14), date(2025, 11, 14), True),
        ("MSFT", date(2025, 11, 13), date(2025, 11, 14), False),
    ],
)
def test_days_of_unfinished_jobs_are_covered(symbol: str, first: date, last: date, expected: bool) -> None:
    states = JobStates()
    for resource in (OCTOBER, NOVEMBER, FILE, ADJUSTED, ENDED):
        base_url = URLS.base_url_of(resource)
        job = a_job(ticker=resource.ticker, endpoint=resource.endpoint, base_url=base_url)
        states.apply(JobRequested(job=job, command_seq=1, url_sha256="0" * 64), NOON)
        if resource is ENDED:
            failed = JobFailed(job=job, stage=Stage.FETCH, failures=1, final=True, error="no")
            states.apply(failed, NOON)
    fill = Fill(symbol=symbol, first=first, last=last, missing=1)
    assert UnderWay.of(states, URLS).covers(fill) is expected
