"""The importer's own queries: ledger, coverage, days, and the comparison of tables and files."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from gexlake.api.jobs import Stage
from gexlake.api.services import CoverageRequest, DaysRequest, LedgerRequest, VerifyRequest
from services.importer.ledger.keeper import record
from services.importer.queries.service import LakeQueries
from services.importer.queries.verify import Verification
from shared.bus.messages import JobFailed, NoData
from shared.job_states import JobStates
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON, a_job


def test_coverage_of_many_partitions_fits_into_one_message_and_says_what_it_leaves_out(
    lake: LakeOnDisk,
) -> None:
    lake.import_staged(lake.stage(records(3)))
    with lake.lake.writing() as connection:
        connection.execute(
            "INSERT INTO partitions SELECT p.* REPLACE (p.trading_day - CAST(n AS INTEGER) AS trading_day) "
            "FROM partitions AS p, range(1, 3000) AS days(n)"
        )
    answer = LakeQueries(lake.lake, lake.settings).coverage(CoverageRequest(limit=10_000))
    assert answer.truncated is True
    assert 500_000 < len(json.dumps(answer.model_dump(mode="json"))) < 1_000_000


def test_ledger_and_coverage_are_answered_as_objects(lake: LakeOnDisk) -> None:
    command = lake.stage(records(3))
    lake.import_staged(command)
    lake.import_staged(lake.stage(records(2), a_job(endpoint="gex_full")))
    queries = LakeQueries(lake.lake, lake.settings)
    (row,) = queries.ledger(LedgerRequest(job_id=str(command.job.job_id))).rows
    assert (row["status"], row["checksum"], row["records_processed"]) == ("completed", command.sha256, 3)
    partitions = queries.coverage(CoverageRequest()).partitions
    assert [(found["endpoint"], found["snapshots"], found["strike_rows"]) for found in partitions] == [
        ("gex_full", 2, 4),
        ("gex_zero", 3, 6),
    ]
    assert queries.coverage(CoverageRequest(endpoint="gex_full' OR 1=1 --")).partitions == ()


def test_days_tells_what_is_held_and_for_what_the_vendor_had_no_data(lake: LakeOnDisk) -> None:
    """A job that was skipped for its file is held, and one that failed is missing."""
    command = lake.stage(records(3))
    lake.import_staged(command)
    lake.import_staged(lake.stage(records(3), a_job(generation=2)))
    states = JobStates()
    states.apply(NoData(job=a_job(endpoint="gex_one"), reason="the vendor has none"), NOON)
    failed = JobFailed(
        job=a_job(endpoint="gex_full"), stage=Stage.FETCH, failures=3, final=True, error="gone"
    )
    states.apply(failed, NOON)
    record(lake.lake, states)
    asked = DaysRequest(
        tickers=("NQ_NDX", "SPX"),
        endpoints=("gex_zero", "gex_one", "gex_full"),
        days=(date(2025, 11, 13), date(2025, 11, 14)),
    )
    queries = LakeQueries(lake.lake, lake.settings)
    answer = queries.days(asked)
    assert [(day.endpoint, day.trading_day, day.standing) for day in answer.days] == [
        ("gex_zero", date(2025, 11, 14), "held"),
        ("gex_one", date(2025, 11, 14), "no_data"),
    ]
    assert queries.days(asked.model_copy(update={"days": (date(2025, 11, 13),)})).days == ()
    assert queries.days(asked.model_copy(update={"days": ()})).days == ()


def test_days_leaves_out_what_is_not_in_parquet_yet(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    with lake.lake.writing() as connection:
        connection.execute("UPDATE partitions SET published = false")
    request = DaysRequest(tickers=("NQ_NDX",), endpoints=("gex_zero",), days=(date(2025, 11, 14),))
    assert LakeQueries(lake.lake, lake.settings).days(request).days == ()


def test_days_of_a_thousand_partitions_are_complete_whatever_limit_queries_have(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "few", sql_max_rows=10)
    lake.import_staged(lake.stage(records(3)))
    with lake.lake.writing() as connection:
        connection.execute(
            "INSERT INTO partitions SELECT p.* REPLACE (p.trading_day - CAST(n AS INTEGER) AS trading_day) "
            "FROM partitions AS p, range(1, 1000) AS days(n)"
        )
    days = tuple(date(2025, 11, 14) - timedelta(n) for n in range(1000))
    request = DaysRequest(tickers=("NQ_NDX",), endpoints=("gex_zero",), days=days)
    answer = LakeQueries(lake.lake, lake.settings).days(request)
    lake.close()
    assert len(answer.days) == 1000


def test_verify_finds_nothing_in_a_whole_lake(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    found = Verification(lake.lake, VerifyRequest()).compare_others()
    assert (found.checked, found.differences) == (1, ())


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "DELETE FROM gex_strikes WHERE rowid = 0",
            "has 6 rows, the table has 5, of which 0",
        ),
        ("UPDATE gex_strikes SET gamma = 7 WHERE rowid = 0", "of which 1 are not in the file"),
        ("UPDATE gex_snapshots SET spot_price = 7", "of which 3 are not in the file"),
        ("UPDATE partitions SET snapshots = 4", "3 records, the partition should have 4"),
        ("UPDATE partitions SET published = false", "its Parquet file is not in place yet"),
    ],
)
def test_verify_names_what_differs(lake: LakeOnDisk, statement: str, problem: str) -> None:
    lake.import_staged(lake.stage(records(3)))
    with lake.lake.writing() as connection:
        connection.execute(statement)
    (difference,) = Verification(lake.lake, VerifyRequest(ticker="NQ_NDX")).compare_others().differences
    assert problem in difference.problem


def test_verify_names_a_missing_file(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    (parquet,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    parquet.unlink()
    (difference,) = (
        LakeQueries(lake.lake, lake.settings).verification(VerifyRequest()).compare_others().differences
    )
    assert difference.problem == f"{parquet} is missing"
