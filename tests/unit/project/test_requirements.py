"""The locked requirements: whatever a part of the system asks for is what its image and ``make`` install."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_every_requirement_of_a_part_is_in_its_lock_at_the_same_version(extra: str) -> None:
    locked = (ROOT / "requirements" / f"{extra}.txt").read_text().splitlines()
    found = {line.split(" ")[0] for line in locked if re.match(r"\w", line)}
    names = {entry.split("==")[0] for entry in found}
    for requirement in [*PROJECT["dependencies"], *EXTRAS[extra]]:
        if requirement.startswith("gexlake["):
            continue
        assert requirement in (found if "==" in requirement else names), "run make lock"
