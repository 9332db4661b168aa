"""docs/chronox.md has a row for each word of the first system, with tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Final

import pytest

from gexlake.api.chronox.symbols import Strategy
from tests.support.repository import ROOT

_COLUMNS: Final = 3
_TEST: Final = re.compile(r"`([\w/]+\.py)::(\w+)`")
TABLES: Final = {
    "Command line": ("--test-snapshot SYMBOL", "--daemon", "--dry-run", "--log-level LEVEL"),
    "Endpoints": (
        "GET /health",
        "GET /api/v1/symbols",
        "POST /api/v1/symbols",
        "PUT /api/v1/symbols/{symbol}/status",
        "DELETE /api/v1/symbols/{symbol}",
        "POST /api/v1/registry/execute",
        "GET /api/v1/scheduler/status",
        "POST /api/v1/scheduler/start",
        "POST /api/v1/scheduler/stop",
    ),
    "Strategies": tuple(strategy.name for strategy in Strategy),
    "Topics": ("chronox.backfill.<symbol>", "chronox.snapshot.<symbol>", "chronox.stream.<symbol>"),
    "Table `symbol_registry`": (
        *("symbol", "strategy", "status", "enabled", "last_backfill", "last_snapshot", "last_stream"),
        *("error_message", "metadata", "created_at", "updated_at"),
    ),
    "Log": (
        *("time", "level", "message", "symbol", "strategy", "phase", "records", "kafka", "redis"),
        *("elapsed", "error"),
        *(f"symbol_execution_{what}" for what in ("started", "completed", "failed")),
    ),
    "Variables": (
        "POLYGON_API_KEY",
        *(f"TIMESCALE_{name}" for name in ("HOST", "PORT", "DB", "USER", "PASSWORD")),
        *("KAFKA_BOOTSTRAP_SERVERS", "REDIS_HOST", "REDIS_PORT"),
    ),
}
"""What the tables have in code font, at least."""
NUMBERS: Final = {
    "Scheduler jobs": 3,
    "Error recovery": 4,
    "Gap detection": 4,
    "Metrics": 5,
    "Troubleshooting": 4,
}
"""How many rows the other tables have."""


@cache
def rows() -> dict[str, list[list[str]]]:
    """Return the rows of each table, without heads and rulers, by the heading above it."""
    page = (ROOT / "docs/chronox.md").read_text()
    part = page.partition("## Where the words of the first system are tested\n")[2].partition("\n## ")[0]
    found: dict[str, list[list[str]]] = {}
    for section in part.split("\n### ")[1:]:
        heading, _, text = section.partition("\n")
        lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
        found[heading] = [[cell.strip() for cell in line] for line in lines[1:]]
    return found


@cache
def names_in(path: str) -> frozenset[str]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    module = ast.parse((ROOT / "tests" / path).read_text())
    return frozenset(each.name for each in module.body if isinstance(each, functions))


ROWS: Final = [row for table in rows().values() for row in table]


@pytest.mark.parametrize("heading", TABLES)
def test_every_word_has_a_row(heading: str) -> None:
    words = [row[0].strip("`") for row in rows()[heading]]
    assert sorted(set(TABLES[heading]) - set(words)) == []
    assert len(words) == len(set(words))


def test_every_job_metric_and_recipe_has_a_row() -> None:
    assert {heading: len(rows()[heading]) for heading in NUMBERS} == NUMBERS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_word_has_all_columns_and_tests_that_exist(row: list[str]) -> None:
    assert len(row) == _COLUMNS
    assert all(row)
    tests = _TEST.findall(row[-1])
    assert " ".join(f"`{path}::{name}`" for path, name in tests) == row[-1]
    assert [f"{path}::{name}" for path, name in tests if name not in names_in(path)] == []


def test_settings_of_servers_that_are_not_used_do_not_exist() -> None:
    folders = ("services", "shared", "gexlake", "deploy")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    read = {path: path.read_bytes() for path in (*files, ROOT / "compose.yaml") if path.suffix != ".pyc"}
    named = re.compile(rb"\b(?:TIMESCALE|KAFKA|REDIS)_[A-Z]|timescale_host|kafka_bootstrap|redis_host")
    assert [path for path, text in read.items() if named.search(text)] == []
