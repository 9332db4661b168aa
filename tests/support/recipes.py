"""The recipes of a page: its blocks of code with their headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PART: Final = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Recipe:
    """One block of code.

    Args:
        heading: the heading above it; empty before the first.
        number: its position under that heading, from 1.
        language: the language that the page names.
        code: its text.
    """

    heading: str
    number: int
    language: str
    code: str

    @property
    def name(self) -> str:
        """The name of the test case."""
        return f"{self.heading or 'Introduction'} {self.number}"


def recipes_of(page: Path) -> list[Recipe]:
    """Return the blocks of code of a page, in their order."""
    found: list[Recipe] = []
    heading = ""
    number = 0
    for part in _PART.finditer(page.read_text()):
        if part["heading"]:
            heading, number = part["heading"], 0
        else:
            number += 1
            found.append(Recipe(heading, number, part["language"], part["code"]))
    return found
