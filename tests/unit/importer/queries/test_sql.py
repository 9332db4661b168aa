"""Queries of users: what is answered, what is refused, and how much each may take."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Iterable
from typing import Any, Final

import duckdb
import pyarrow as pa
import pytest

from gexlake.api.lake import SqlRequest
from services.importer.errors import QueryRefused
from services.importer.queries.service import SqlQueries
from services.importer.queries.statement import StatementRefused, check
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.queries import ask as response_to
from tests.support.importer.queries import export, with_queries


def ask(lake: LakeOnDisk, query: str, **limits: Any) -> Any:
    """Return the response to a query, as JSON."""
    return response_to(lake, query, **limits).model_dump(mode="json")


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


READING: Final = (
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
)


def test_every_kind_of_reading_is_answered(lake: LakeOnDisk) -> None:
    async def answers(queries: SqlQueries) -> list[int]:
        return [len((await queries.sql(SqlRequest(query=query))).columns) for query in READING]

    assert min(with_queries(lake, answers)) > 0


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
        "EXPLAIN ANALYZE COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "explain /* */ analyze COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "EXPLAIN (ANALYZE) COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "EXPLAIN ANALYZE (FORMAT json) COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "EXPLAIN (ANALYZE, FORMAT 'json) SELECT 1 --') COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "COPY (SELECT 42) TO 'x.parquet' (FORMAT parquet)",
        "SELECT 1; DELETE FROM gex_strikes",
        "SELECT 1; SELECT 2",
        ";",
        "SELEC 1",
    ],
)
def test_what_is_not_one_reading_statement_is_refused(query: str) -> None:
    with pytest.raises((StatementRefused, duckdb.Error)):
        check(query)


OUTSIDE: Final = (
    "COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
    "EXPLAIN (ANALYZE) COPY (SELECT 42) TO '{parquet}' (FORMAT parquet)",
    "SELECT * FROM nothing",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('https://example.test/x.parquet')",
)


async def answered(queries: SqlQueries, texts: Iterable[str], refusal: str = "") -> list[str]:
    """Return which of these queries are not refused with such a code and message."""
    found = []
    for text in texts:
        try:
            await queries.sql(SqlRequest(query=text))
        except QueryRefused as error:
            if re.search(refusal, f"{error.code} {error}", re.DOTALL):
                continue
        found.append(text)
    return found


def test_what_does_not_read_the_lake_is_refused_and_changes_nothing(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    (parquet,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    texts = [query.replace("{parquet}", str(parquet)) for query in OUTSIDE]
    assert with_queries(lake, lambda queries: answered(queries, texts)) == []
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(6,)]
    assert lake.differences() == 0


def test_a_pivot_without_values_is_refused_with_advice(lake: LakeOnDisk) -> None:
    pivot = "PIVOT (VALUES (1, 2)) t(a, b) ON a USING sum(b)"
    texts = [f"{before}{pivot}" for before in ("", "EXPLAIN ", "EXPLAIN (FORMAT json) ")]
    advice = r"a PIVOT has to name the values that become columns: ON … IN \(…\)"
    assert with_queries(lake, lambda queries: answered(queries, texts, advice)) == []


def test_rows_beyond_the_limit_are_left_out_and_it_says_so(lake: LakeOnDisk) -> None:
    answer = ask(lake, "SELECT * FROM range(100)", max_rows=7)
    assert (len(answer["rows"]), answer["truncated"]) == (7, True)
    assert ask(lake, "SELECT * FROM range(7)", max_rows=7)["truncated"] is False


def test_an_answer_fits_into_one_message(lake: LakeOnDisk) -> None:
    answer = ask(lake, "SELECT repeat('x', 1000) FROM range(5000)", max_rows=5000)
    assert answer["truncated"] is True
    assert 500_000 < len(json.dumps(answer)) < 1_000_000


def test_a_query_that_takes_too_long_is_interrupted(lake: LakeOnDisk) -> None:
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    with pytest.raises(QueryRefused, match=r"took longer than 0\.2 s") as caught:
        ask(lake, slow, timeout_s=0.2)
    assert caught.value.code == 408
    assert ask(lake, "SELECT 1")["rows"] == [[1]]


def test_a_query_that_needs_too_much_memory_is_refused(lake: LakeOnDisk) -> None:
    texts = [
        "SELECT len(range(1000000000))",
        "SELECT repeat('x', 1000000000)",
        "SELECT list(range) FROM range(100000000)",
        "SELECT string_agg(repeat('x', 1000), '') FROM range(10000000)",
    ]
    refusal = "^400 .*GEXLAKE_SQL_MEMORY_MB"
    assert with_queries(lake, lambda queries: answered(queries, texts, refusal)) == []


def test_a_query_that_cannot_be_interrupted_is_killed(lake: LakeOnDisk) -> None:
    slow = "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))"
    with pytest.raises(QueryRefused, match=r"took longer than 0\.3 s") as caught:
        ask(lake, slow, timeout_s=0.3)
    assert caught.value.code == 408


def test_a_long_error_is_cut(lake: LakeOnDisk) -> None:
    with pytest.raises(QueryRefused) as caught:
        ask(lake, f"SELECT {'x' * 2_000_000}")
    assert len(str(caught.value)) <= 4000


def test_a_value_that_does_not_fit_into_a_message_is_left_out_and_it_says_so(lake: LakeOnDisk) -> None:
    answer = ask(lake, "SELECT repeat('x', 2000000)")
    assert (answer["rows"], answer["truncated"]) == ([], True)


def test_a_quick_query_is_answered_while_slow_ones_run_and_wait(lake: LakeOnDisk) -> None:
    async def quick_among_slow(queries: SqlQueries) -> Any:
        query = "SELECT max(levenshtein(repeat('a', 50000 + r::INT), repeat('b', 50000))) FROM range(99) t(r)"
        slow = SqlRequest(query=query, timeout_s=30)
        running = [asyncio.ensure_future(queries.sql(slow)) for _ in range(6)]
        await asyncio.sleep(0.5)
        answers = [(await queries.sql(SqlRequest(query="SELECT 1"))).rows for _ in range(3)]
        unfinished = [task for task in running if task.cancel()]
        await asyncio.gather(*running, return_exceptions=True)
        return answers, len(unfinished)

    assert with_queries(lake, quick_among_slow) == ([((1,),)] * 3, 6)


def test_a_query_sees_the_ledger_as_it_is_now(lake: LakeOnDisk) -> None:
    for count in (0, 1):
        assert ask(lake, "SELECT count(*) FROM import_jobs WHERE status = 'completed'")["rows"] == [[count]]
        lake.import_staged(lake.stage(records(3)))


def test_the_tables_are_the_same_as_in_the_database(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    for table in ("gex_snapshots", "gex_strikes", "partitions", "gex_history_queue", "gex_profiles"):
        query = f"SELECT * FROM {table} ORDER BY ALL"
        with lake.lake.reading() as connection:
            expected = pa.table(connection.sql(query).arrow())
        assert pa.ipc.open_stream(export(lake, query)).read_all().to_pylist() == expected.to_pylist()


def test_an_export_as_csv_is_complete(lake: LakeOnDisk) -> None:
    content = export(lake, "SELECT range AS n, 'é,b' AS s FROM range(100000); -- the end", format="csv")
    assert content.startswith('n,s\n0,"é,b"\n'.encode())
    assert content.count(b"\n") == 100_001


def test_an_export_as_arrow_keeps_the_types(lake: LakeOnDisk) -> None:
    content = export(lake, "SELECT DATE '2025-11-14' AS d, 1.5::DOUBLE AS x, [1, 2] AS l FROM range(70000)")
    table = pa.ipc.open_stream(io.BytesIO(content)).read_all()
    assert table.num_rows == 70_000
    assert [str(field.type) for field in table.schema] == ["date32[day]", "double", "list<l: int32>"]


@pytest.mark.parametrize("form", ["csv", "arrow"])
def test_an_export_that_fails_is_refused(lake: LakeOnDisk, form: str) -> None:
    with pytest.raises(QueryRefused, match="nothing"):
        export(lake, "SELECT * FROM nothing", format=form)
    with pytest.raises(QueryRefused, match="only queries that read"):
        export(lake, "DELETE FROM gex_strikes", format=form)


def test_nothing_of_a_query_is_left_behind(lake: LakeOnDisk) -> None:
    spills = "SELECT * FROM range(30000000) ORDER BY hash(range) LIMIT 1 OFFSET 29999990"
    with pytest.raises(QueryRefused):
        ask(lake, spills, timeout_s=1)
    assert list(lake.settings.paths.scratch.glob("query-*")) == []
