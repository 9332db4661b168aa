"""``gexlake sql`` and ``gexlake export``: what is sent, what is printed, how they end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

ANSWER = {
    "columns": [{"name": "ticker", "type": "VARCHAR"}, {"name": "rows", "type": "BIGINT"}],
    "rows": [["NQ_NDX", 2_340_000], ["a [bold] one", None]],
    "truncated": False,
    "seconds": 0.01,
}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        fake.body = dict(ANSWER)
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        monkeypatch.setenv("GEXLAKE_API_KEY", "a-key")
        yield fake


def test_a_query_is_sent_with_its_limits_and_the_key_and_shown_as_a_table(
    intake: FakeIntake, say: Say
) -> None:
    status, out, err = say("sql", "select 'a', \"b\"", "--max-rows", "7", "--timeout", "2.5")
    assert (status, err) == (0, "")
    body = {"query": "select 'a', \"b\"", "max_rows": 7, "timeout_s": 2.5}
    assert intake.asked == [("POST", "/api/v1/sql", body)]
    assert intake.authorization == "Bearer a-key"
    header, _, first, second, *_ = out.splitlines()
    assert header.split() == ["ticker", "rows"]
    assert first.split() == ["NQ_NDX", "2340000"]
    assert "a [bold] one" in second
    assert "null" in second


@pytest.mark.usefixtures("intake")
def test_json_is_one_array_of_objects(say: Say) -> None:
    _, out, _ = say("sql", "select 1", "--format", "json")
    assert json.loads(out) == [
        {"ticker": "NQ_NDX", "rows": 2_340_000},
        {"ticker": "a [bold] one", "rows": None},
    ]


def test_no_value_is_lost_to_a_column_name_that_comes_twice(intake: FakeIntake, say: Say) -> None:
    intake.body |= {"columns": [{"name": "n", "type": "INTEGER"}] * 3, "rows": [[1, 2, 3]]}
    assert json.loads(say("sql", "select 1", "--format", "json")[1]) == [{"n": 1, "n_1": 2, "n_2": 3}]


def test_csv_has_a_header_and_keeps_commas_and_quotes(intake: FakeIntake, say: Say) -> None:
    intake.body |= {"rows": [['a,"b"\nc', [1, 2]], [None, 3]]}
    _, out, _ = say("sql", "select 1", "--format", "csv")
    assert list(csv.reader(io.StringIO(out))) == [["ticker", "rows"], ['a,"b"\nc', "[1, 2]"], ["", "3"]]


@pytest.mark.parametrize(
    ("max_rows", "limit"),
    [
        ("2", "--max-rows"),
        ("3", "an answer ends at about 900 kB, and at GEXLAKE_SQL_MAX_ROWS of the importer"),
    ],
)
def test_omitted_rows_and_their_limit_are_reported_and_the_status_is_3(
    intake: FakeIntake, say: Say, max_rows: str, limit: str
) -> None:
    intake.body |= {"truncated": True}
    status, out, err = say("sql", "select 1", "--format", "json", "--max-rows", max_rows)
    assert status == 3
    assert len(json.loads(out)) == 2
    assert err == (
        f"gexlake: only the first 2 rows are shown ({limit}): 'gexlake export' writes all of them\n"
    )


def refuse(intake: FakeIntake, status: int, message: str) -> None:
    intake.status = status
    intake.body = {"error": {"field": "query", "rule": "query", "message": message}}


@pytest.mark.parametrize("command", ["sql", "export"])
def test_a_refused_query_is_the_importers_words_in_one_line(
    intake: FakeIntake, say: Say, command: str
) -> None:
    refuse(intake, 400, "only queries that read are answered, not DROP")
    assert say(command, "drop table x") == (
        1,
        "",
        "gexlake: only queries that read are answered, not DROP\n",
    )


@pytest.mark.parametrize("body", [{}, [1], "no JSON", {**ANSWER, "rows": [[1], [2, 3]]}])
def test_an_unreadable_response_is_reported_in_one_line(intake: FakeIntake, say: Say, body: Any) -> None:
    intake.body = body
    status, out, err = say("sql", "select 1")
    assert (status, out) == (1, "")
    assert "does not answer as gexlake does (" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "accept"),
    [
        (("-o", "rows.csv"), "text/csv"),
        (("-o", "rows.arrow"), "application/vnd.apache.arrow.stream"),
        (("-o", "rows.data", "--format", "csv"), "text/csv"),
    ],
)
def test_an_export_is_written_to_a_file(
    intake: FakeIntake, say: Say, arguments: tuple[str, ...], accept: str
) -> None:
    intake.body = "n\n1\n"
    assert say("export", "select 1 AS n", *arguments) == (0, "", "")
    assert Path(arguments[1]).read_text() == "n\n1\n"
    assert intake.accept == accept


def test_a_result_that_ends_early_is_reported_and_leaves_no_file(intake: FakeIntake, say: Say) -> None:
    Path("rows.csv").write_text("of before")
    intake.body = "n\n1\n"
    intake.missing_bytes = 5
    status, _, err = say("export", "select 1 AS n", "-o", "rows.csv")
    assert status == 1
    assert "ended early and is not complete" in err
    assert Path("rows.csv").read_text() == "of before"
    assert list(Path.cwd().glob(".rows*")) == []


@pytest.mark.usefixtures("intake")
def test_a_file_that_cannot_be_written_is_reported(say: Say) -> None:
    status, _, err = say("export", "select 1", "-o", "missing/rows.csv")
    assert (status, err) == (1, "gexlake: missing/rows.csv cannot be written: No such file or directory\n")


@pytest.mark.usefixtures("intake")
@pytest.mark.parametrize("command", ["sql", "export"])
def test_an_empty_query_is_refused(say: Say, command: str) -> None:
    assert say(command, " ")[0] == 2
