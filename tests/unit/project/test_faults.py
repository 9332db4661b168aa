"""docs/faults.md lists at least thirty faults, each with tests that exist."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.support.repository import ROOT

_COLUMNS: Final = 4
_TEST: Final = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """Return the cells of all rows, without heads and rulers."""
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line[:2] == "| "]
    return [row for row in cells if row[0] != "fault"]


def test_there_are_at_least_thirty_faults_and_none_comes_twice() -> None:
    faults = [row[0] for row in rows()]
    assert len(faults) == len(set(faults)) >= 30


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_fault_has_all_columns_and_tests_that_exist(row: list[str]) -> None:
    assert len(row) == _COLUMNS
    assert all(row)
    tests = _TEST.findall(row[-1])
    assert " ".join(f"`{path}::{name}`" for path, name in tests) == row[-1].removesuffix(" |")
    for path, name in tests:
        module = ast.parse((ROOT / "tests" / path).read_text())
        functions = ast.FunctionDef | ast.AsyncFunctionDef
        assert name in {each.name for each in module.body if isinstance(each, functions)}, path
