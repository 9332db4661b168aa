"""Which form of a table is shown at which width."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from gexlake.cli.output.fitted_table import Column, FittedTable

WORDS = "a sentence that may take several lines of the terminal"


def shown(table: FittedTable, width: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def rows(*columns: Column) -> FittedTable:
    table = FittedTable(columns)
    table.add_row(*("x" * 10 for _ in columns))
    return table


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (36, "xxxxxxxxxx   xxxxxxxxxx   xxxxxxxxxx"),
        (35, "xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx"),
        (31, "xxxxxxxxxx   xxxxxxxxxx"),
        (21, "xxxxxxxxxx xxxxxxxxxx"),
    ],
)
def test_blanks_go_before_columns(width: int, row: str) -> None:
    assert shown(rows(Column("a"), Column("b"), Column("c", drop=1)), width)[2] == row


def test_a_row_that_does_not_fit_becomes_a_card() -> None:
    assert shown(rows(Column("first"), Column("second")), 20) == [
        "── 1 ──",
        "first   xxxxxxxxxx",
        "second  xxxxxxxxxx",
    ]


def test_sentences_are_wrapped_and_other_columns_are_not() -> None:
    table = FittedTable([Column("name"), Column("why", wraps=True)], "title")
    table.add_row("x" * 10, WORDS)
    title, _, _, *lines = shown(table, 45)
    assert title == "title"
    assert lines[0].split()[0] == "x" * 10
    assert " ".join(" ".join(lines).split()[1:]) == WORDS
    assert max(map(len, lines)) <= 45
    assert shown(table, 40)[1] == "── 1 ──"


def test_lines_of_a_cell_are_measured_one_by_one() -> None:
    table = FittedTable([Column("text")])
    table.add_row("12345\n1234567")
    assert shown(table, 7) == ["text", "───────", "12345", "1234567"]
