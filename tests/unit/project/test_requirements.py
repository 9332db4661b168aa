"""The locked requirements: what a part of the system requires is what its image and ``make`` install."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.repository import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


def locked(name: str) -> set[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return {line.split(" ")[0] for line in lines if re.match(r"\w", line)}


def test_the_compiler_is_locked_by_itself() -> None:
    assert locked("compiler") == set(PYPROJECT["dependency-groups"]["compiler"]), "run make lock"


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_every_requirement_of_a_part_is_in_its_lock_at_the_same_version(extra: str) -> None:
    found = locked(extra)
    names = {entry.split("==")[0] for entry in found}
    for requirement in [*PROJECT["dependencies"], *EXTRAS[extra]]:
        if requirement.startswith("gexlake["):
            continue
        assert requirement in (found if "==" in requirement else names), "run make lock"


def test_every_requirement_of_the_distribution_is_in_the_lock_of_the_command_line() -> None:
    assert set(PROJECT["dependencies"]) <= locked("cli"), "run make lock"
