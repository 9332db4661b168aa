"""``make``: targets pass their arguments on unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment that is ready and whose ``gexlake`` prints its arguments as JSON."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gexlake"
    program.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    program.chmod(0o755)
    (tmp_path / ".ready").touch()
    return tmp_path


def make(venv: Path, *words: str, **env: str) -> str:
    command = ["make", "--no-print-directory", "-C", str(ROOT), f"VENV={venv}", *words]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**outside, **env}).stdout


@pytest.mark.parametrize(
    "query",
    [
        """select 'a', "b" """,
        "select '$HOME', $1, `date`, \"\\\"",
        "-- a comment\nselect 1 -- and 'another'",
        "select 'é; rm -rf #'",
    ],
)
def test_sql_passes_a_query_on_with_any_quotes(venv: Path, query: str) -> None:
    assert json.loads(make(venv, "sql", f"Q={query}")) == ["sql", "--format", "table", "--", query]


def test_sql_takes_the_query_and_the_format_from_the_environment_too(venv: Path) -> None:
    output = make(venv, "sql", Q="select 'a'", FORMAT="json")
    assert json.loads(output) == ["sql", "--format", "json", "--", "select 'a'"]


def test_help_is_the_default_target_and_lists_all_others(venv: Path) -> None:
    listed = {line.split()[0] for line in make(venv).splitlines()}
    assert listed >= {
        "run",
        "demo",
        "sql",
        "test",
        "test-slow",
        "test-integration",
        "lint",
        "fmt",
        "docs",
        "lock",
        "help",
    }


def test_a_missing_python_is_reported_in_one_line(tmp_path: Path) -> None:
    command = ["make", "-C", str(ROOT), f"VENV={tmp_path}/venv", "PYTHON=false", "lint"]
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "gexlake needs Python 3.11 or newer" in refused.stdout
    assert not (tmp_path / "venv").exists()
