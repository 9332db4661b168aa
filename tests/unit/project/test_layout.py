"""The tree of folders: small enough that a newcomer finds a module by its name."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.support.repository import ROOT

MAX_MODULES: Final = 12
CODE: Final = ("gexlake", "services", "shared", "simulator", "bench", "deploy")


def test_no_folder_of_code_has_more_than_a_dozen_modules() -> None:
    modules = (
        path.parent.relative_to(ROOT)
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    )
    crowded = {str(folder): count for folder, count in Counter(modules).items() if count > MAX_MODULES}
    assert crowded == {}
