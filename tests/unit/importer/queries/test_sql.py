"""Read-only queries: what is answered, and what is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gexlake.api.jobs import Stage
from gexlake.api.services import CoverageRequest, DaysRequest, LedgerRequest, SqlRequest
from services.importer.errors import QueryRefused
from services.importer.ledger.keeper import record
from services.importer.queries.service import Queries
from shared.bus.messages import JobFailed, NoData
from shared.job_states import JobStates
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.values import NOON, a_job


def ask(lake: LakeOnDisk, query: str, **limits: Any) -> Any:
    """Return the answer to a query, as JSON."""
    return Queries(lake.lake, lake.settings).sql(SqlRequest(query=query, **limits)).model_dump(mode="json")


def test_a_query_is_answered_with_names_types_and_plain_values(lake: LakeOnDisk) -> None:
    answer = ask(
        lake,
        "SELECT 1 AS a, 'x' AS b, DATE '2025-11-14' AS c, 'nan'::DOUBLE AS d, [1, NULL] AS e, "
        "{'k': 1.5::DOUBLE} AS f, "
        "TIMESTAMPTZ '2025-11-14 14:30:00+00' AS g, 1.25::DECIMAL(5,2) AS h, 'a'::BLOB AS i, NULL AS j",
    )
    assert answer["columns"][:2] == [{"name": "a", "type": "INTEGER"}, {"name": "b", "type": "VARCHAR"}]
    assert answer["rows"] == [
        [1, "x", "2025-11-14", None, [1, None], {"k": 1.5}, "2025-11-14T14:30:00+00:00", "1.25", "61", None]
    ]
    assert answer["truncated"] is False


@pytest.mark.parametrize(
    "query",
    [
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "FROM gex_snapshots",
        "DESCRIBE gex_strikes",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "explain analyze SELECT count(*) FROM gex_strikes",
        "EXPLAIN (FORMAT json) SELECT 1",
        "explain(analyze, format 'html') SELECT 1",
        "EXPLAIN ANALYZE (FORMAT json) SELECT 1",
        "EXPLAIN (SELECT 1)",
        "PIVOT gex_snapshots ON min_dte IN (0, 1) USING count(*)",
        "SUMMARIZE gex_snapshots",
        "SELECT * FROM parquet_gex_strikes",
        "FROM import_jobs",
    ],
)
def test_every_kind_of_reading_is_answered(lake: LakeOnDisk, query: str) -> None:
    assert "columns" in ask(lake, query)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM gex_strikes",
        "INSERT INTO gex_strikes SELECT * FROM gex_strikes",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW import_jobs",
        "COPY gex_strikes TO '/tmp/x.csv'",
        "ATTACH '/tmp/x.db'",
        "SET memory_limit = '1GB'",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "CHECKPOINT",
        "EXPLAIN ANALYZE DELETE FROM gex_strikes",
        "EXPLAIN ANALYZE COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "explain /* */ analyze COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "EXPLAIN (ANALYZE) COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "EXPLAIN ANALYZE (FORMAT json) COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "EXPLAIN (ANALYZE, FORMAT 'json) SELECT 1 --') COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
        "SELECT 1; DELETE FROM gex_strikes",
        "SELECT 1; SELECT 2",
        ";",
        "SELEC 1",
        "SELECT * FROM nothing",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('https://example.test/x.parquet')",
    ],
)
def test_what_does_not_read_the_lake_is_refused_and_changes_nothing(lake: LakeOnDisk, query: str) -> None:
    lake.import_staged(lake.stage(records(3)))
    (parquet,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    with pytest.raises(QueryRefused):
        ask(lake, query.replace("{parquet}", str(parquet)))
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(6,)]
    assert lake.differences() == 0


@pytest.mark.parametrize("before", ["", "EXPLAIN ", "EXPLAIN (FORMAT json) "])
def test_a_pivot_without_values_is_refused_with_advice(lake: LakeOnDisk, before: str) -> None:
    with pytest.raises(
        QueryRefused, match=r"a PIVOT has to name the values that become columns: ON … IN \(…\)"
    ):
        ask(lake, f"{before}PIVOT (VALUES (1, 2)) t(a, b) ON a USING sum(b)")


def test_rows_beyond_the_limit_are_left_out_and_it_says_so(lake: LakeOnDisk) -> None:
    answer = ask(lake, "SELECT * FROM range(100)", max_rows=7)
    assert (len(answer["rows"]), answer["truncated"]) == (7, True)
    assert ask(lake, "SELECT * FROM range(7)", max_rows=7)["truncated"] is False


def test_an_answer_fits_into_one_message(lake: LakeOnDisk) -> None:
    answer = ask(lake, "SELECT repeat('x', 1000) FROM range(5000)", max_rows=5000)
    assert answer["truncated"] is True
    assert 500_000 < len(json.dumps(answer)) < 1_000_000


def test_coverage_of_many_partitions_fits_into_one_message_and_says_what_it_leaves_out(
    lake: LakeOnDisk,
) -> None:
    lake.import_staged(lake.stage(records(3)))
    with lake.lake.writing() as connection:
        connection.execute(
            "INSERT INTO partitions SELECT p.* REPLACE (p.trading_day - CAST(n AS INTEGER) AS trading_day) "
            "FROM partitions AS p, range(1, 3000) AS days(n)"
        )
    answer = Queries(lake.lake, lake.settings).coverage(CoverageRequest(limit=10_000))
    assert answer.truncated is True
    assert 500_000 < len(json.dumps(answer.model_dump(mode="json"))) < 1_000_000


def test_a_query_that_takes_too_long_is_interrupted(lake: LakeOnDisk) -> None:
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    with pytest.raises(QueryRefused, match=r"took longer than 0\.2 s") as caught:
        ask(lake, slow, timeout_s=0.2)
    assert caught.value.code == 408
    assert ask(lake, "SELECT 1")["rows"] == [[1]]


def test_ledger_and_coverage_are_answered_as_objects(lake: LakeOnDisk) -> None:
    command = lake.stage(records(3))
    lake.import_staged(command)
    lake.import_staged(lake.stage(records(2), a_job(endpoint="gex_full")))
    queries = Queries(lake.lake, lake.settings)
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
    queries = Queries(lake.lake, lake.settings)
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
    assert Queries(lake.lake, lake.settings).days(request).days == ()


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
    answer = Queries(lake.lake, lake.settings).days(request)
    lake.close()
    assert len(answer.days) == 1000
