"""What intake asks the importer, and what it reads of the answer: held against the importer's own code."""

from __future__ import annotations

from datetime import date

from gexlake.api.services import DaysRequest, KnownDay
from services.importer.queries.service import LakeQueries
from services.intake.backfill.request import MAX_JOBS
from services.intake.backfill.service import partition_of
from services.intake.market_days import days_between
from shared.gexbot.partition import Partition
from tests.support.importer.lake import LakeOnDisk, records


def asked(lake: LakeOnDisk, request: DaysRequest) -> tuple[KnownDay, ...]:
    return LakeQueries(lake.lake, lake.settings).days(request).days


def test_the_importer_answers_intake_in_words_that_it_reads(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    day = date(2025, 11, 14)
    (known,) = asked(lake, DaysRequest(tickers=("NQ_NDX",), endpoints=("gex_zero",), days=(day,)))
    assert (partition_of(known), known.standing) == (Partition("NQ_NDX", "gex_zero", day), "held")


def test_the_importer_takes_the_largest_request_that_intake_sends(lake: LakeOnDisk) -> None:
    days = tuple(
        days_between(date(2020, 1, 1), date.fromordinal(date(2020, 1, 1).toordinal() + MAX_JOBS - 1))
    )
    names = tuple(f"T{number}" for number in range(MAX_JOBS))
    assert len(days) == MAX_JOBS
    assert asked(lake, DaysRequest(tickers=names, endpoints=("gex_zero",), days=days)) == ()
